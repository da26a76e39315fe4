"""Is a process ready? Standard library alone: guards ask too."""

import http.client
import os
import socket
import subprocess
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

_SECONDS = 5


def ready(probe: Mapping[str, Any]) -> bool:
    """What `[ready]` of a process's description asks for is so; without one it is.

    Args:
        probe: `url`, which must answer with success or ask for a login; `command`, which must
            end with 0; or `greeting`, HOST:PORT of a server that speaks first.
    """
    try:
        if "url" in probe:
            return _answers(probe["url"])
        if "command" in probe:
            return _succeeds(probe["command"])
        if "greeting" in probe:
            return _greets(probe["greeting"])
    except (OSError, http.client.HTTPException, subprocess.TimeoutExpired):
        return False
    return True


def _answers(url: str) -> bool:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_SECONDS)
    try:
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request("GET", target, headers={"Host": "localhost"})
        status = connection.getresponse().status
        return status < 400 or status == 401
    finally:
        connection.close()


def _succeeds(command: list[str]) -> bool:
    done = subprocess.run(
        command, capture_output=True, timeout=_SECONDS, check=False,
        stdin=subprocess.DEVNULL, env={"PATH": os.defpath},
    )  # fmt: skip
    return done.returncode == 0


def _greets(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=_SECONDS) as connection:
        return bool(connection.recv(1))
