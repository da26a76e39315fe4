"""Looking at processes and ending only those that are provably ours."""

import os
import signal
import time
from pathlib import Path


def is_ours(pid: int, *marks: str) -> bool:
    """Whether the live process `pid` has every one of `marks` in its command line.

    False for a process that is gone, a zombie (its command line is empty) and a stranger to whom
    the number was given after ours had died.
    """
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return bool(arguments) and all(mark.encode() in arguments for mark in marks)


def pid_in(pid_file: Path) -> int | None:
    """The number in a pid file, or None where there is none."""
    try:
        return int(pid_file.read_text().strip())
    except (OSError, ValueError):
        return None


def end(pid: int, *marks: str, patience: float = 20.0) -> None:
    """SIGTERM, then SIGKILL after `patience` seconds; nothing at all to a process not ours."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not is_ours(pid, *marks):
            return
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while is_ours(pid, *marks) and time.monotonic() < deadline:
            _reap(pid)
            time.sleep(0.05)


def _reap(pid: int) -> None:
    # A daemon started by this very process would stay a zombie until we collect it.
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return
