"""How an operation tells what it does, and how far it is."""

from collections.abc import Callable
from typing import Protocol

Progress = Callable[[str], None]


class Meter(Protocol):
    """Is told how far a transfer is."""

    def expect(self, what: str, total: int) -> None:
        """Something of about `total` bytes begins."""

    def advance(self, count: int) -> None:
        """So many bytes more are done."""
