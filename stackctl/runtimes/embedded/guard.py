"""Runs beside each service: `python -m stackctl.runtimes.embedded.guard SERVICE`.

supervisord starts one guard for each service, in the stack's folder `run`. The guard waits until
the services that this one needs are ready, starts it, and makes sure that nothing of a service
survives: not the main process when the guard or supervisord is killed, not the workers when the
main process is. So a restart always finds the port free. Standard library alone: it is quick to
start and small to keep.
"""

import contextlib
import fcntl
import json
import os
import pwd
import signal
import sys
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from stackctl.runtimes.embedded import probes
from stackctl.runtimes.embedded.linux import adopt_orphans, die_with, end_descendants, reap

BUNDLE = Path("../bundle")
_WATCHED = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
_DEPENDENCY_SECONDS = 0.1


def description(service: str) -> dict[str, Any]:
    """What the bundle says of `service`."""
    return tomllib.loads((BUNDLE / "processes" / f"{service}.toml").read_text(encoding="utf-8"))


def main(service: str) -> int:
    """Run `service` until it ends or SIGTERM comes; returns the exit code for supervisord."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    die_with(os.getppid(), signal.SIGTERM)
    adopt_orphans()
    wanted = description(service)
    needed = _Needed(wanted["after"])
    if not wanted.get("early"):
        while not needed.are_ready():
            if _told_to_stop(_DEPENDENCY_SECONDS):
                return 0
    for handle in _marks(service, wanted):
        while not _locked(handle):
            if _told_to_stop(_DEPENDENCY_SECONDS):
                return 0
    door, outside = os.pipe()
    child = _spawn(wanted, _folder(service, wanted), door)
    os.close(door)
    _note(service, wanted["digest"], child)
    code, asked = _watch(child, wanted, needed, outside)
    end_descendants()
    _say(f"{service} ended ({code}){', as it was asked to' if asked else ''}")
    if asked and code <= 0:
        return 0
    return code if code >= 0 else 128 - code


def _told_to_stop(seconds: float) -> bool:
    return signal.sigtimedwait(_WATCHED - {signal.SIGCHLD}, seconds) is not None


def _marks(service: str, wanted: Mapping[str, Any]) -> list[int]:
    """What is locked while the service runs: a file of its name, and the folder of its data.

    The service inherits the locks: they are free when the last process that has them has ended.
    """
    handles = [os.open(f"{service}.lock", os.O_RDWR | os.O_CREAT, 0o600)]
    if volume := wanted.get("volume"):
        handles.append(os.open(volume, os.O_RDONLY | os.O_DIRECTORY))
    for handle in handles:
        os.set_inheritable(handle, True)
    return handles


def _locked(handle: int) -> bool:
    """Have it for this service alone; an earlier one may still be ending."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class _Needed:
    """The services that must be ready before this one is let loose."""

    def __init__(self, names: list[str]) -> None:
        self._left = list(names)
        self._told = ""

    def are_ready(self) -> bool:
        """All of them are, or have been."""
        while self._left and probes.ready(description(self._left[0]).get("ready", {})):
            del self._left[0]
        if self._left and self._told != self._left[0]:
            self._told = self._left[0]
            _say(f"waiting for {self._told}")
        return not self._left


def _folder(service: str, wanted: Mapping[str, Any]) -> Path:
    """The folder in which the service runs: its own below `run`, or one given."""
    folder = Path(wanted.get("folder") or service).absolute()
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _spawn(wanted: Mapping[str, Any], folder: Path, door: int) -> int:
    """Start the service; `door` tells one that starts early, by its end, when to go on."""
    bundle = BUNDLE.absolute()
    user = wanted.get("user", "")
    environment = {"HOME": str(folder), "TMPDIR": str(folder), **wanted["environment"]}
    scripts = {word: str(bundle / word) for word in wanted["command"] if word.startswith("./")}
    secrets = dict(wanted.get("secrets", {}))
    if user:
        # Another user cannot open these files; it inherits what is in them.
        scripts = {word: _in_memory(Path(path).read_bytes()) for word, path in scripts.items()}
        secrets = {name: _in_memory(Path(path).read_bytes()) for name, path in secrets.items()}
    secrets |= {name: _in_memory(b"") for name in wanted.get("in_memory", [])}
    if wanted.get("early"):
        os.set_inheritable(door, True)
        secrets["STACKCTL_DOOR"] = str(door)
    command = [scripts.get(word, word) for word in wanted["command"]]
    guard, number = os.getpid(), signal.Signals[wanted.get("stop_signal", "SIGTERM")]
    child = os.fork()
    if child == 0:
        _become(command, environment | secrets, folder, user, wanted.get("umask", 0o077),
                guard, number)  # fmt: skip
    return child


def _become(
    command: list[str],
    environment: dict[str, str],
    folder: Path,
    user: str,
    umask: int,
    guard: int,
    number: signal.Signals,
) -> NoReturn:
    """In the child: become the service."""
    try:
        os.setsid()
        os.umask(umask)
        os.chdir(folder)
        if user:
            account = pwd.getpwnam(user)
            os.initgroups(user, account.pw_gid)
            os.setgid(account.pw_gid)
            os.setuid(account.pw_uid)
        die_with(guard, number)
        signal.pthread_sigmask(signal.SIG_SETMASK, set())
        os.execvpe(command[0], command, environment)
    except (OSError, KeyError) as error:
        _say(f"{command[0]} cannot be started: {error}")
        os._exit(127)


def _in_memory(content: bytes) -> str:
    """The path of a file that every child can open, and nobody else."""
    handle = os.memfd_create("stackctl", 0)
    os.write(handle, content)
    return f"/dev/fd/{handle}"


def _watch(
    child: int, wanted: Mapping[str, Any], needed: _Needed, outside: int
) -> tuple[int, bool]:
    """Wait for the main process; open its door, pass a stop on, kill where that is not heard."""
    number = signal.Signals[wanted.get("stop_signal", "SIGTERM")]
    deadline: float | None = None
    closed = True
    while True:
        if closed and needed.are_ready():
            os.close(outside)
            closed = False
        if child in (ended := reap()):
            return ended[child], deadline is not None
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        if left == 0.0:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        patience = 3600 if left is None else max(left, 0.1)
        came = signal.sigtimedwait(_WATCHED, _DEPENDENCY_SECONDS if closed else patience)
        if came is not None and came.si_signo != signal.SIGCHLD and deadline is None:
            deadline = time.monotonic() + wanted.get("stop_seconds", 30)
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)


def _note(service: str, digest: str, child: int) -> None:
    """Say in `run/SERVICE.json` what runs, for whoever looks."""
    path = Path(f"{service}.json")
    starts = 0
    with contextlib.suppress(OSError, ValueError, KeyError):
        starts = json.loads(path.read_text(encoding="utf-8"))["starts"]
    fresh = path.with_suffix(".new")
    fresh.write_text(
        json.dumps({"digest": digest, "pid": child, "since": time.time(), "starts": starts + 1}),
        encoding="utf-8",
    )
    fresh.replace(path)


def _say(line: str) -> None:
    print(f"stackctl: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
