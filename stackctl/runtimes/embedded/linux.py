"""What Linux offers so that no process outlives what it belongs to. Standard library alone."""

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_TERM_SECONDS = 3
_ORPHAN_SECONDS = 8
_POLL_SECONDS = 0.05


def die_with(parent: int, number: signal.Signals) -> None:
    """Have the kernel send this process `number` when its parent ends; changing user undoes it.

    Exits at once where the parent has ended already.
    """
    _prctl(_PR_SET_PDEATHSIG, number)
    if os.getppid() != parent:
        os._exit(1)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def end_descendants(patience: float = _TERM_SECONDS) -> None:
    """End every descendant of this process, which has adopted the orphans, and reap it.

    Args:
        patience: Seconds between SIGTERM and SIGKILL.
    """
    deadline = time.monotonic() + patience
    asked: set[int] = set()
    while children := set(_children()):
        kill = time.monotonic() > deadline
        for child in children if kill else children - asked:
            _send(child, signal.SIGKILL if kill else signal.SIGTERM)
        asked |= children
        reap()
        time.sleep(_POLL_SECONDS)


def end_others(wanted: int, asked: dict[int, float]) -> None:
    """End every child but `wanted`: orphans of guards that were killed.

    Args:
        wanted: The one to leave alone.
        asked: When each was first asked; to be kept from call to call.
    """
    others = [child for child in _children() if child != wanted]
    for gone in set(asked) - set(others):
        del asked[gone]
    for child in others:
        patient = time.monotonic() - asked.setdefault(child, time.monotonic()) < _ORPHAN_SECONDS
        _send(child, signal.SIGTERM if patient else signal.SIGKILL)


def reap() -> dict[int, int]:
    """Collect the children that have ended: `{process id: exit code}`, negative for a signal."""
    ended: dict[int, int] = {}
    while True:
        try:
            child, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended
        if child == 0:
            return ended
        ended[child] = os.waitstatus_to_exitcode(status)


def _children() -> list[int]:
    me = os.getpid()
    return [int(word) for word in Path(f"/proc/{me}/task/{me}/children").read_text().split()]


def _send(process: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, number)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
