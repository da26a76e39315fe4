"""A port for a stack that is about to start, which no other test session takes meanwhile."""

import errno
import secrets
import socket

from stackctl.errors import MachineError

# Below those that stacks choose for themselves and those that the kernel gives to connections.
PORTS = range(5200, 10240)
_TRIES = 1000


def reserve() -> socket.socket:
    """A socket that holds a free port of 127.0.0.1 until it is closed.

    It is bound and never listens. With SO_REUSEADDR, which servers set, a server may listen on
    the port all the same; without it, as here, nobody else may bind it (Linux, socket(7)). So
    sessions that choose at the same moment never choose the same port, and what one of them holds
    is free when it is killed.

    Raises:
        MachineError: None is free.
    """
    for _ in range(_TRIES):
        held = socket.socket()
        try:
            held.bind(("127.0.0.1", secrets.choice(PORTS)))
        except OSError as error:
            held.close()
            if error.errno != errno.EADDRINUSE:
                raise
            continue
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return held
    raise MachineError(
        f"no port from {PORTS[0]} to {PORTS[-1]} is free on 127.0.0.1",
        hint="stop something that listens there",
    )
