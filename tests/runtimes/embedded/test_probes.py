"""Is a process ready? Real servers, real commands."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from stackctl.runtimes.embedded import probes


class _Asked(BaseHTTPRequestHandler):
    """Answers `/STATUS?x` with that status."""

    def do_GET(self) -> None:
        assert self.headers["Host"] == "localhost"
        path, _, query = self.path.partition("?")
        self.send_response(int(path[1:]) if query in ("", "max_results=1") else 404)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Asked) as http:
        thread = threading.Thread(target=http.serve_forever, args=(0.005,))
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@contextmanager
def listening(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """HOST:PORT of a server that does one thing with its only client."""

    def serve() -> None:
        client, _ = listener.accept()
        with client:
            answer(client)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def say_nothing(client: socket.socket) -> None:
    """Until it goes away."""
    while client.recv(1000):
        pass


@pytest.mark.parametrize(
    ("status", "ready"),
    [(200, True), (204, True), (302, True), (401, True), (403, False), (404, False), (500, False)],
)
def test_a_server_is_ready_when_it_answers_or_asks_for_a_login(
    server: str, status: int, ready: bool
) -> None:
    assert probes.ready({"url": f"{server}/{status}"}) is ready
    assert probes.ready({"url": f"{server}/{status}?max_results=1"}) is ready
    assert probes.ready({"url": f"{server}/{status}?other"}) is False


def test_a_port_on_which_nobody_listens_is_not_ready(free_port: int) -> None:
    assert probes.ready({"url": f"http://127.0.0.1:{free_port}/"}) is False
    assert probes.ready({"greeting": f"127.0.0.1:{free_port}"}) is False


@pytest.mark.parametrize(
    "said", [b"", b"SSH-2.0\r\n", b"\xff\x00\x01\x02\n", b"HTTP/1.1 ok\r\n\r\n"]
)
def test_a_server_that_speaks_no_http_is_not_ready(said: bytes) -> None:
    with listening(lambda client: client.sendall(said)) as address:
        assert probes.ready({"url": f"http://{address}/"}) is False


def test_a_server_that_never_answers_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "_SECONDS", 0.1)
    with listening(say_nothing) as address:
        assert probes.ready({"url": f"http://{address}/"}) is False
    with listening(say_nothing) as address:
        assert probes.ready({"greeting": address}) is False


@pytest.mark.parametrize(("said", "ready"), [(b"J\0\0\0", True), (b"J", True), (b"", False)])
def test_a_server_that_speaks_first_is_ready_when_it_has_spoken(said: bytes, ready: bool) -> None:
    with listening(lambda client: client.sendall(said)) as address:
        assert probes.ready({"greeting": address}) is ready


@pytest.mark.parametrize(
    ("command", "ready"),
    [
        (["true"], True),
        (["false"], False),
        (["sh", "-c", "exit 2"], False),
        (["/nonexistent/program"], False),
        (["sh", "-c", '[ -z "$HOME$STACKCTL_HOME" ]'], True),
        (["sh", "-c", "read x || exit 0; exit 1"], True),
    ],
)
def test_a_command_tells_by_its_exit_code(
    command: list[str], ready: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STACKCTL_HOME", "/somewhere")
    assert os.environ["STACKCTL_HOME"]
    assert probes.ready({"command": command}) is ready


def test_a_command_that_does_not_end_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "_SECONDS", 0.1)
    assert probes.ready({"command": ["sleep", "30"]}) is False


def test_without_a_question_a_process_is_ready() -> None:
    assert probes.ready({}) is True
