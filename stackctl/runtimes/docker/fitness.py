"""What of a machine and its daemon the docker runtime depends on."""

import contextlib
import re
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from stackctl.errors import MachineError, StackctlError
from stackctl.fitness import Finding, disk
from stackctl.runtimes.docker.compose import Compose

_CLOCK_SECONDS = 5
# Docker's default pools hold 31 networks; a stack takes up to two.
_NETWORKS = 27
_OLDEST_API = (1, 41)


class Connected(Protocol):
    """What is known of a daemon and its Compose; each may say that it is not there."""

    @property
    def client(self) -> Any:
        """docker-py's."""

    @property
    def compose(self) -> Compose:
        """The one that is called."""

    @property
    def endpoint(self) -> str:
        """Where the daemon is."""

    def info(self) -> dict[str, Any]:
        """What it tells of itself."""


def look(runtime: Connected) -> Iterator[Finding]:
    """The daemon, and where that answers Compose, disk, networks and clock."""
    daemon = _daemon(runtime)
    yield daemon
    if daemon.level == "ok":
        yield _compose(runtime)
        yield from _of_daemon(runtime)


def _daemon(runtime: Connected) -> Finding:
    try:
        version = runtime.client.version()
    except StackctlError as error:
        return Finding("Docker daemon", "problem", error.message, error.hint)
    api = tuple(int(part) for part in version["ApiVersion"].split("."))
    told = f"{version['Version']}, API {version['ApiVersion']}, at {runtime.endpoint}"
    if api < _OLDEST_API:
        return Finding("Docker daemon", "problem", told, "install Docker Engine 20.10 or newer")
    return Finding("Docker daemon", "ok", told)


def _compose(runtime: Connected) -> Finding:
    try:
        return Finding("Compose", "ok", str(runtime.compose))
    except MachineError as error:
        return Finding("Compose", "problem", error.message, error.hint)


def _of_daemon(runtime: Connected) -> Iterator[Finding]:
    info = runtime.info()
    root = Path(info.get("DockerRootDir", ""))
    with contextlib.suppress(OSError):
        yield disk(root, "disk, Docker")
    count = len(runtime.client.api.networks())
    told = f"{count} networks"
    if count > _NETWORKS:
        yield Finding(
            "address pool", "warning", f"{told}: Docker's default pools hold about 31",
            "run: docker network prune, or widen default-address-pools in daemon.json",
        )  # fmt: skip
    else:
        yield Finding("address pool", "ok", told)
    yield _clock(info)


def _clock(info: dict[str, Any]) -> Finding:
    """S3 refuses requests whose time is off by more than 15 minutes."""
    # Nanoseconds, which fromisoformat does not take.
    told = re.sub(r"(\.\d{6})\d+", r"\1", info.get("SystemTime", ""))
    try:
        apart = abs(datetime.fromisoformat(told).timestamp() - time.time())
    except ValueError:
        return Finding("clock", "warning", f"the daemon's time cannot be read: {told!r}")
    found = f"{apart:.1f} s between this machine and the daemon"
    if apart > _CLOCK_SECONDS:
        return Finding("clock", "warning", found, "set both by NTP: S3 refuses a wrong time")
    return Finding("clock", "ok", found)
