"""Where text goes: results to stdout, progress and errors to stderr."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_WIDE = 10_000


def out() -> "Console":
    """A console for results: stdout; what is not a terminal is as wide as the longest line."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)


def say(line: str) -> None:
    """One line of progress on stderr."""
    # A reader that went away must not keep a deploy from being undone.
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


@contextmanager
def working(what: str) -> Iterator[Callable[[str], None]]:
    """Show that `what` is going on: a spinner on a terminal, nothing elsewhere.

    Gives a function that is told what goes on now.
    """
    if not sys.stderr.isatty():
        yield lambda _now: None
        return
    from rich.console import Console

    with Console(stderr=True).status(what) as status:
        yield lambda now: status.update(f"{what}: {now}")


def size(count: int | None) -> str:
    """Bytes for people: `12.3 MB`; "?" where unknown."""
    if count is None or count < 0:
        return "?"
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"
