"""Keeps one stack's supervisord: `python -m stackctl.runtimes.embedded.keeper` in `run/`.

supervisord restarts services, and nobody restarts supervisord: the keeper does, when it was killed.
It ends when supervisord was asked to end, when it cannot be kept alive, and when the stack's folder
is gone: services that go on would write to paths at which nobody finds their data. If the keeper
itself is killed, the kernel has supervisord stop everything. Standard library alone.

That it lives is told by a lock on `keeper.lock`, which the kernel takes away when it ends: no
process id that was written down is ever believed.
"""

import fcntl
import os
import signal
import sys
import time
from pathlib import Path

from stackctl.runtimes.embedded.linux import (
    adopt_orphans,
    die_with,
    end_descendants,
    end_others,
    reap,
)

LOCK = "keeper.lock"
_WATCHED = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD}
_LOOK_SECONDS = 1.0
# Each service ends within its own time, one after another.
_STOP_SECONDS = 180.0
_ORPHAN_SECONDS = 90.0
_KEPT = 4
_RESTARTS, _WITHIN_SECONDS = 5, 60.0


def main() -> int:
    """Keep supervisord alive until it ends by itself; 0 where that was asked for."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _WATCHED)
    lock = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Of the process, not of what it starts: freed when it ends, however it ends.
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        _say("another keeper is at work")
        return 0
    adopt_orphans()
    folder = Path.cwd()
    begun: list[float] = []
    while True:
        begun = [moment for moment in begun if time.monotonic() - moment < _WITHIN_SECONDS]
        if len(begun) >= _RESTARTS:
            _say(f"supervisord ended {len(begun)} times within a minute: giving up")
            return 1
        begun.append(time.monotonic())
        code, asked = _keep(folder, lock)
        end_descendants(_ORPHAN_SECONDS)
        if asked or code == 0:
            return 0
        _say(f"supervisord ended ({code}): starting it again")
        time.sleep(len(begun) - 1)


def _keep(folder: Path, lock: int) -> tuple[int, bool]:
    """Run supervisord to its end: its exit code, and whether this keeper was to end it."""
    keeper = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            die_with(keeper, signal.SIGTERM)
            # One that lost its keeper may still be ending.
            mark = os.open("supervisord.lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(mark, fcntl.LOCK_EX)
            # supervisord closes what it inherits, but for the first five.
            os.dup2(mark, _KEPT)
            os.set_inheritable(_KEPT, True)
            signal.pthread_sigmask(signal.SIG_SETMASK, set())
            command = [sys.executable, "-P", "-m", "supervisor.supervisord",
                       "-c", "../bundle/supervisord.conf"]  # fmt: skip
            os.execv(sys.executable, command)
        finally:
            os._exit(127)
    deadline: float | None = None
    strays: dict[int, float] = {}
    while True:
        if child in (ended := reap()):
            return ended[child], deadline is not None
        came = signal.sigtimedwait(_WATCHED, _LOOK_SECONDS)
        stop = came is not None and came.si_signo != signal.SIGCHLD
        if deadline is None and (stop or not _in_place(folder, lock)):
            if not stop:
                _say("the stack's folder is gone: stopping everything")
            deadline = time.monotonic() + _STOP_SECONDS
            os.kill(child, signal.SIGTERM)
        elif deadline is not None and time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        else:
            end_others(child, strays)


def _in_place(folder: Path, lock: int) -> bool:
    """The folder is still where it was, and the lock in it this keeper's own."""
    try:
        there = (folder / LOCK).stat()
    except OSError:
        return False
    return os.path.samestat(there, os.fstat(lock))


def _say(line: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} stackctl: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
