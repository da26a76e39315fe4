"""How fast this machine is at this moment, so that waits are as long as it needs.

A limit such as "a server is ready within 60 s" was measured on a machine that had nothing else to
do. On one that is four times as slow, or shares its processor with others, the same work takes four
times as long, and a fixed limit would call a server dead that is on its way.
"""

import contextlib
import os
import time
from pathlib import Path

# What `_burst` takes on two idle cores of a small virtual machine of 2026, in seconds.
_USUAL_BURST = 0.002
_ROUNDS = 20_000
# Nobody waits ten times as long because of one bad moment.
_SLOWEST = 8.0


def pace() -> float:
    """How many times as long as usual things take now: 1 where nothing speaks against it.

    The longer of two answers: what a burst of work takes, which a slow or stolen processor
    stretches, and how many programs want each core.
    """
    return min(_SLOWEST, max(1.0, _burst() / _USUAL_BURST, _waiting()))


class Patience:
    """A limit in seconds of a machine that is neither slow nor busy.

    It is used up the more slowly, the slower the machine is while somebody waits.

    Args:
        seconds: The limit.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._spent, self._seen = 0.0, time.monotonic()

    @property
    def spent(self) -> float:
        """The seconds that were used up until now; to be asked again and again meanwhile."""
        now = time.monotonic()
        self._spent += (now - self._seen) / pace()
        self._seen = now
        return self._spent

    def is_over(self) -> bool:
        """Nothing of it is left."""
        return self.spent >= self.seconds


def _burst() -> float:
    begin, total = time.perf_counter(), 0
    for number in range(_ROUNDS):
        total += number * number % 7
    return time.perf_counter() - begin


def _waiting() -> float:
    """Programs that could run now, for each core that this process may use; 0 where unknown."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        running = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[0])
        return running / max(1, len(os.sched_getaffinity(0)))
    return 0.0
