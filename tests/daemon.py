"""A Docker daemon as far as a connection to it goes."""

import json
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import pytest


class _Daemon(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        told = _info() if self.path.endswith("/info") else _VERSION
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "a unix socket"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Nothing."""


_VERSION = {"ApiVersion": "1.47", "MinAPIVersion": "1.24", "Version": "27"}


def _info() -> dict[str, object]:
    """What one of this machine says of it."""
    memory = int(Path("/proc/meminfo").read_text(encoding="ascii").split()[1]) * 1024
    system = os.uname()
    return {"Name": system.nodename, "KernelVersion": system.release, "MemTotal": memory}


@pytest.fixture
def daemon() -> Iterator[Path]:
    """A real socket that answers `GET /version` and `GET /info`, which a client asks first."""
    # Not below tmp_path: the name of a socket has at most 107 bytes.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "docker.sock"
        with ThreadingUnixStreamServer(str(path), _Daemon) as server:
            assert server.socket.family == socket.AF_UNIX
            thread = threading.Thread(target=server.serve_forever, args=(0.005,))
            thread.start()
            yield path
            server.shutdown()
            thread.join()
