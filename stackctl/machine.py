"""This machine: who listens on its ports, and what its disks hold."""

import errno
import os
import secrets
import shutil
import socket
import tempfile
from pathlib import Path

from stackctl.console import size
from stackctl.errors import MachineError, UserError

# Where ports are reserved: below those that stacks choose for themselves and those that the kernel
# gives to connections.
PORTS = range(5200, 10240)
_TRIES = 1000
# What a file system needs beside the data themselves.
_SPARE = 64_000_000


def listen_failure(address: str, port: int) -> int | None:
    """The errno with which listening fails; None where it would work."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # As the daemon's proxy does: a port in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            probe.listen(1)
    except OSError as error:
        return errno.EADDRNOTAVAIL if error.errno == errno.EAFNOSUPPORT else error.errno
    return None


def listener(port: int) -> str:
    """Who listens on `port`, as far as this user may know."""
    import psutil

    try:
        for connection in psutil.net_connections(kind="tcp"):
            here = connection.laddr
            if connection.status == psutil.CONN_LISTEN and here and here.port == port:
                if connection.pid is None:
                    break
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        pass
    who = "" if os.geteuid() == 0 else "; root can see which"
    return f"another program{who}"


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


def check_writable(data: Path) -> None:
    """The folder can be written, or made.

    Raises:
        UserError: It cannot.
        MachineError: The disk is full.
    """
    try:
        existing = data
        while not existing.exists():
            if existing.is_symlink():
                raise UserError(
                    f"data folder {data}: {existing} is a link that leads nowhere",
                    hint="is a disk not mounted?",
                )
            existing = existing.parent
        if not existing.is_dir():
            raise UserError(
                f"data folder {data}: {existing} is a file",
                hint="choose another with --set data=DIR",
            )
        with tempfile.TemporaryFile(dir=existing) as file:
            # A full disk still makes files: what it refuses is content.
            file.write(b"stackctl")
            file.flush()
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise MachineError(
                f"data folder {data}: no space left on the disk", hint="free some space"
            ) from error
        raise UserError(
            f"data folder {data} cannot be written: {error.strerror}",
            hint="make it yours, or choose another with --set data=DIR",
        ) from error


def require_room(folder: Path, needed: int, what: str) -> None:
    """The disk of `folder` has room for `needed` bytes.

    Raises:
        MachineError: It has not.
    """
    there = folder
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < needed + _SPARE:
        raise MachineError(
            f"{what} needs about {size(needed)}, and {folder} has {size(free)} left",
            hint="free some space, or choose another place; nothing was changed",
        )


def folder_bytes(folder: Path) -> int:
    """Bytes of the files below `folder`; what vanishes meanwhile is not counted."""
    total = 0
    for path in folder.rglob("*"):
        try:
            if path.is_file() and not path.is_symlink():
                total += path.stat().st_size
        except OSError:
            continue
    return total
