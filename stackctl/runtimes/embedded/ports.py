"""Ports of loopback for listeners that nobody but their own stack uses."""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from stackctl.errors import MachineError
from stackctl.machine import listen_failure
from stackctl.runtimes.embedded import folders
from stackctl.services import SERVICES
from stackctl.stack import Stack

# Each listener has a second port, this many above it: by a rule of SeaweedFS's own, for gRPC.
SECOND = 10000
# Below the ports that the kernel gives to connections, the second one too.
_FIRST, _LAST = 10240, 22760
# Written in its source (SeaweedFS 4.48, weed/pb/grpc_client_server.go).
_SOCKETS = Path("/tmp")  # noqa: S108


def choose(
    stack: Stack,
    services: Iterable[str],
    published: Iterable[int],
    *,
    running: bool,
    proxied: bool = False,
) -> dict[str, int]:
    """A port for each listener: the one it had, where that is still to be had.

    Args:
        stack: Begins its search where no other stack does, so that two at once do not meet.
        services: Those of the scenario.
        published: Ports that the stack needs for its clients.
        running: The stack itself listens on those that it had.
        proxied: Clients reach pages and MLflow's servers through a proxy, not at published ports.

    Raises:
        MachineError: None is free.
    """
    known = folders.ports(stack)
    chosen: dict[str, int] = {}
    kept_free = {taken for port in published for taken in (port, port - SECOND)}
    begin, count = int(stack.owner[:8], 16), _LAST - _FIRST
    candidates = (_FIRST + (begin + step) % count for step in range(count))
    for listener in (name for service in services for name in _listeners(service, proxied)):
        port = known.get(listener)
        if port is None or port in kept_free or not (running or _is_free(port)):
            taken = {*known.values(), *chosen.values(), *kept_free}
            port = next((p for p in candidates if p not in taken and _is_free(p)), None)
        if port is None:
            raise MachineError(
                f"no port from {_FIRST} to {_LAST} is free on 127.0.0.1",
                hint="stop something that listens there",
            )
        chosen[listener] = port
    return chosen


def _listeners(service: str, proxied: bool) -> tuple[str, ...]:
    kind = SERVICES[service]
    return (service,) if kind.page and proxied else kind.listeners


def _is_free(port: int) -> bool:
    return all(
        listen_failure("127.0.0.1", p) is None and not _has_socket_of_another(p)
        for p in (port, port + SECOND)
    )


def _has_socket_of_another(port: int) -> bool:
    """SeaweedFS makes a socket named by the port, and cannot where another user's has the name."""
    for path in _SOCKETS.glob(f"seaweedfs-*-grpc-{port}.sock"):
        with contextlib.suppress(FileNotFoundError):
            if path.lstat().st_uid != os.geteuid():
                return True
    return False
