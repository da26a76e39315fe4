"""Is this machine fit for stacks? Each finding says how to mend it."""

import contextlib
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stackctl.errors import MachineError, StackctlError
from stackctl.machine import listen_failure, listener
from stackctl.stack import Home

if TYPE_CHECKING:
    from stackctl.runtimes.docker.runtime import Docker

_DISK_BYTES = 5 * 10**9
_MEMORY_BYTES = 2 * 10**9
_CLOCK_SECONDS = 5
# Docker's default pools hold 31 networks; a stack takes up to two.
_NETWORKS = 27
_OLDEST_API = (1, 41)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What.
        level: `ok`, `warning`, or `problem`, with which deploy would fail.
        told: What was found.
        mend: How to mend it; "" where nothing is to mend.
    """

    subject: str
    level: str
    told: str
    mend: str = ""


def examine(home: Home) -> Iterator[Finding]:
    """Everything that a deploy depends on."""
    from stackctl.runtimes.docker.runtime import Docker

    runtime = Docker()
    daemon, embedded = _daemon(runtime), _embedded()
    if embedded.level == "ok":
        # Either of the two is enough.
        daemon = replace(daemon, level="warning") if daemon.level == "problem" else daemon
    elif daemon.level == "ok":
        embedded = replace(embedded, level="warning")
    yield daemon
    if daemon.level == "ok":
        yield _compose(runtime)
    yield embedded
    yield _disk(home.path, "disk, home")
    if daemon.level == "ok":
        info = runtime.info()
        yield from _of_daemon(runtime, info)
    yield _memory()
    yield from _ports(home, docker=daemon.level == "ok")
    yield from _secrets(home)
    yield from _certificates(home)


def _daemon(runtime: "Docker") -> Finding:
    try:
        version = runtime.client.version()
    except StackctlError as error:
        return Finding("Docker daemon", "problem", error.message, error.hint)
    api = tuple(int(part) for part in version["ApiVersion"].split("."))
    told = f"{version['Version']}, API {version['ApiVersion']}, at {runtime.endpoint}"
    if api < _OLDEST_API:
        return Finding("Docker daemon", "problem", told, "install Docker Engine 20.10 or newer")
    return Finding("Docker daemon", "ok", told)


def _compose(runtime: "Docker") -> Finding:
    try:
        return Finding("Compose", "ok", str(runtime.compose))
    except MachineError as error:
        return Finding("Compose", "problem", error.message, error.hint)


def _embedded() -> Finding:
    """The embedded runtime, and which components this machine has for it."""
    from stackctl.runtimes.embedded.components import find_all
    from stackctl.runtimes.embedded.runtime import Embedded

    try:
        Embedded().check()
    except MachineError as error:
        return Finding("embedded runtime", "problem", error.message, error.hint)
    there = [component.label for component in find_all().values() if not component.missing]
    return Finding("embedded runtime", "ok", ", ".join(there))


def _of_daemon(runtime: "Docker", info: dict[str, Any]) -> Iterator[Finding]:
    root = Path(info.get("DockerRootDir", ""))
    with contextlib.suppress(OSError):
        yield _disk(root, "disk, Docker")
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


def _disk(path: Path, subject: str) -> Finding:
    from stackctl.console import size

    free = shutil.disk_usage(path).free
    told = f"{size(free)} free at {path}"
    if free < _DISK_BYTES:
        return Finding(subject, "warning", told, "free some: images alone take 2 GB")
    return Finding(subject, "ok", told)


def _memory() -> Finding:
    import psutil

    from stackctl.console import size

    free = psutil.virtual_memory().available
    told = f"{size(free)} available"
    if free < _MEMORY_BYTES:
        return Finding("memory", "warning", told, "a stack takes 1 GB: stop something, or "
                       "use --set workers=1")  # fmt: skip
    return Finding("memory", "ok", told)


def _ports(home: Home, *, docker: bool) -> Iterator[Finding]:
    """The ports of the stacks of this home, else those of the scenarios."""
    from stackctl.runtimes.choice import runtime_of

    for stack in home.stacks():
        try:
            manifest = stack.require_manifest()
            settings = stack.settings(manifest)
        except StackctlError as error:
            yield Finding(f"stack {stack.name}", "problem", error.message, error.hint)
            continue
        for port in settings.published_ports():
            subject = f"port {port}, {stack.name}"
            if listen_failure(settings.bind, port) is None:
                yield Finding(subject, "ok", "free")
                continue
            asked = docker or manifest.runtime != "docker"
            found = runtime_of(manifest).obstacle(stack, settings.bind, port) if asked else None
            if asked and found is None:
                yield Finding(subject, "ok", "the stack's own")
            else:
                # Without a daemon nobody can tell whether it is the stack itself.
                owner = found.owner if found is not None else listener(port)
                yield Finding(
                    subject, "problem" if asked else "warning",
                    f"taken by {owner}", "stop it, or deploy with another port",
                )  # fmt: skip
    if home.stacks():
        return
    from stackctl import scenarios

    for port in sorted({s.settings["port"] for s in scenarios.load_all(home.scenarios).values()
                        if "port" in s.settings}):  # fmt: skip
        if listen_failure("127.0.0.1", port) is not None:
            yield Finding(f"port {port}", "warning", f"taken by {listener(port)}",
                          "deploy with --port PORT")  # fmt: skip


def _secrets(home: Home) -> Iterator[Finding]:
    for stack in home.stacks():
        subject = f"secrets, {stack.name}"
        try:
            manifest = stack.require_manifest()
            states = stack.secrets.states(list(manifest.secrets))
        except StackctlError:
            continue  # told with the ports
        if bad := [f"{state.name} {state.problem}" for state in states if state.problem]:
            mend = f"run: stackctl secrets check {manifest.scenario} --name {stack.name}"
            yield Finding(subject, "problem", "; ".join(bad), mend)
        elif states:
            yield Finding(subject, "ok", f"{len(states)} good")


def _certificates(home: Home) -> Iterator[Finding]:
    from stackctl.deployment import Deployment
    from stackctl.operations.trust import expiry

    for stack in home.stacks():
        try:
            found = expiry(Deployment.recorded(stack))
        except StackctlError:
            continue  # told with the ports
        if found is not None:
            level = "warning" if found.mend else "ok"
            yield Finding(f"certificate, {stack.name}", level, f"until {found}", found.mend)
