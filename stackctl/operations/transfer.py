"""What all have in common that carry data: how far they are, and whether there is room."""

import shutil
from pathlib import Path
from typing import Protocol

from stackctl.console import size
from stackctl.errors import MachineError

# What a file system needs beside the data themselves.
_SPARE = 64_000_000


class Meter(Protocol):
    """Is told how far a transfer is."""

    def expect(self, what: str, total: int) -> None:
        """Something of about `total` bytes begins."""

    def advance(self, count: int) -> None:
        """So many bytes more are done."""


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
