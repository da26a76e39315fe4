"""HTTPS of a stack whose name need not lead here, and whose authority nobody else knows."""

import http.server
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from stackctl.deployment import Deployment
from stackctl.proof.certificate import is_outdated
from stackctl.proof.roundtrip import Address, RoundTrip, RoundTripError
from stackctl.settings import Settings
from tests.contract.https import Authority

HOST = "ml.example.org"
MINE = Authority.new()


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.headers["Host"].encode())

    def log_message(self, *_: Any) -> None:
        """Nothing."""


@contextmanager
def serving(folder: Path, certificate: str, key: str) -> Iterator[int]:
    """A server on loopback that shows this certificate; gives its port."""
    for name, text in (("shown", certificate), ("key", key)):
        (folder / name).write_text(text)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "shown", folder / "key")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.005,), daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


def nobody(name: str) -> str:
    raise AssertionError(f"nobody needs {name} here")


def asked(port: int, trusted: Path, *, host: str = HOST) -> str:
    url = f"https://{host}:{port}"
    address = Address(url, direct=f"127.0.0.1:{port}", trusted=str(trusted))
    trip = RoundTrip(address, secret=nobody)
    return trip.request("GET", f"{url}/x", None, "text/plain").decode()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "root.pem").write_text(MINE.certificate)
    return tmp_path / "root.pem"


def test_a_name_is_asked_for_at_this_machine_s_own_port(tmp_path: Path, root: Path) -> None:
    with serving(tmp_path, *MINE.issue(HOST)) as port:
        assert asked(port, root) == f"{HOST}:{port}"
        # What is shown is enough to know it by.
        assert asked(port, tmp_path / "shown") == f"{HOST}:{port}"


def test_a_certificate_for_another_name_or_of_another_authority_is_told(
    tmp_path: Path, root: Path
) -> None:
    with serving(tmp_path, *MINE.issue("other.example")) as port:
        with pytest.raises(RoundTripError, match="Hostname mismatch"):
            asked(port, root)
        root.write_text(Authority.new().certificate)
        with pytest.raises(RoundTripError, match="CERTIFICATE_VERIFY_FAILED"):
            asked(port, root)


@pytest.fixture
def outdated(tmp_path: Path) -> Callable[[str, int, dict[str, str]], bool]:
    """Whether a stack with such secrets shows something else at a port."""

    def is_so(tls: str, port: int, secrets: dict[str, str]) -> bool:
        folder = tmp_path / "secrets"
        folder.mkdir(exist_ok=True)
        for name, text in secrets.items():
            (folder / name).write_text(text)
        settings = Settings(name="x", public_url=f"https://{HOST}:{port}", tls=tls, port=port)
        stack = SimpleNamespace(settings=settings, secrets=SimpleNamespace(path=folder))
        return is_outdated(cast(Deployment, stack))

    return is_so


def test_what_is_shown_is_compared_with_the_files(
    tmp_path: Path, outdated: Callable[[str, int, dict[str, str]], bool]
) -> None:
    certificate, key = MINE.issue(HOST)
    with serving(tmp_path, certificate, key) as port:
        assert not outdated("files", port, {"tls_certificate": f"{certificate}\n"})
        assert not outdated("files", port, {"tls_certificate": certificate + MINE.certificate})
        assert outdated("files", port, {"tls_certificate": MINE.issue(HOST)[0]})
        assert not outdated("internal", port, {"ca_certificate": MINE.certificate})
        assert outdated("internal", port, {"ca_certificate": Authority.new().certificate})
        # What is no certificate is told by whoever reads the secret.
        assert not outdated("files", port, {"tls_certificate": "nothing"})
    assert not outdated("files", port, {"tls_certificate": certificate}), "nobody is there"
