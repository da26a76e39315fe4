"""Where text goes: results to stdout, progress and errors to stderr."""

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID
    from rich.table import Table

_WIDE = 10_000


def out() -> "Console":
    """A console for results: stdout; what is not a terminal is as wide as the longest line."""
    from rich.console import Console

    # What is shown are names that anybody may have chosen: nothing in them is markup.
    return Console(
        width=None if sys.stdout.isatty() else _WIDE, highlight=False, markup=False, emoji=False
    )


def visible(text: str) -> str:
    """A text that others chose, whose control and invisible characters do nothing here."""
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in text
    )


def table(*columns: str, rows: Iterable[Sequence[str]]) -> "Table":
    """Rows of texts below their columns; whoever chose a text, it is only shown."""
    from rich.table import Table

    made = Table(*columns, box=None, pad_edge=False)
    for row in rows:
        made.add_row(*map(visible, row))
    return made


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


class _Bar:
    """How far a transfer is, on a terminal: amount, rate and the time that is left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )  # fmt: skip

        self._progress = Progress(
            TextColumn("{task.description}"), BarColumn(), DownloadColumn(),
            TransferSpeedColumn(), TimeRemainingColumn(),
            console=Console(stderr=True), transient=True,
        )  # fmt: skip
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def expect(self, what: str, total: int) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._task = self._progress.add_task(what, total=max(total, 1))

    def advance(self, count: int) -> None:
        if self._task is not None:
            self._progress.advance(self._task, count)


class _Lines:
    """The same elsewhere: a line when something begins."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def expect(self, what: str, total: int) -> None:
        say(f"{what}: about {size(total)}")

    def advance(self, count: int) -> None: ...


def meter() -> "_Bar | _Lines":
    """What shows how far a transfer is, while its context is open."""
    return _Bar() if sys.stderr.isatty() else _Lines()


def counts(found: Mapping[str, int]) -> str:
    """What a store holds, for people: `3 runs, 1 registered models`, or `nothing`."""
    told = (f"{number} {kind.replace('_', ' ')}" for kind, number in found.items() if number)
    return ", ".join(told) or "nothing"


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
