"""Secrets that are about to change: a new value beside the current one, then an old one beside it.

    NAME            what the services' files and scripts read
    NAME.next       the new value, on the disk before anything is told of it
    NAME.previous   the old value, from the moment at which NAME is the new one until that is proved

Whatever is interrupted, one of these files opens the door; which, only the service itself can tell.
"""

import re
from dataclasses import dataclass

from stackctl.secrets.folder import PART, SecretFolder
from stackctl.secrets.rules import rule

NEXT, PREVIOUS = ".next", ".previous"
_BESIDE = re.compile(r"(.+)\.(?:next|previous)")


def open_names(folder: SecretFolder) -> list[str]:
    """The secrets whose change was begun and not ended."""
    there = folder.names()
    found = (_BESIDE.fullmatch(name) for name in there)
    return sorted({match[1] for match in found if match and match[1] in there})


@dataclass(frozen=True)
class Handover:
    """The files of secrets that change together. Each step may be repeated, and cut short.

    Attributes:
        folder: Where they are.
        names: Of the secrets.
    """

    folder: SecretFolder
    names: tuple[str, ...]

    @property
    def is_open(self) -> bool:
        """It was begun, and not ended."""
        return any(self._has(name, end) for name in self.names for end in (NEXT, PREVIOUS))

    def begin(self) -> None:
        """Put new values beside the current ones, where it was not done."""
        # An old value is kept only once all new ones are there.
        if any(self._has(name, PREVIOUS) for name in self.names):
            return
        for name in self.names:
            if not self._has(name, NEXT):
                self.folder.write(name + NEXT, rule(name).generate())

    def new(self) -> list[str]:
        """The values that are to be, in the order of the names."""
        return [self._read(name, NEXT) for name in self.names]

    def old(self) -> list[str] | None:
        """The values that were; None where one is deleted already, for they are proved void."""
        if all(self._has(name, NEXT) or self._has(name, PREVIOUS) for name in self.names):
            return [self._read(name, PREVIOUS) for name in self.names]
        return None

    def take_over(self) -> None:
        """Make the new values the current ones, and keep the old."""
        waiting = [name for name in self.names if self._has(name, NEXT)]
        for name in waiting:
            if not self._has(name, PREVIOUS):
                self.folder.write(name + PREVIOUS, self._read(name))
        for name in waiting:
            self.folder.rename(name + NEXT, name)

    def end(self) -> None:
        """Delete the old values."""
        for name in (*(name + PREVIOUS for name in self.names), PART):
            self.folder.forget(name)

    def _has(self, name: str, end: str) -> bool:
        return (self.folder.path / (name + end)).is_file()

    def _read(self, name: str, end: str = "") -> str:
        return self.folder.read(name + end if self._has(name, end) else name).reveal()
