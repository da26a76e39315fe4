"""The last lines of log files that rotate, and those that come."""

import os
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO

_POLL_SECONDS = 0.2


def lines(files: Mapping[str, Path], *, follow: bool, tail: int) -> Iterator[tuple[str, str]]:
    """(name, line) of the last `tail` lines of each file; with `follow`, of all that come.

    A line is given once it is whole: what is written in two parts may be a secret, which would
    not be recognised in either.

    Args:
        files: Path by name; one that does not exist yet has no lines.
        follow: Go on until the caller stops.
        tail: How many of the lines that are there.
    """
    opened = {name: _File(path) for name, path in files.items()}
    try:
        for name, file in opened.items():
            there = deque(file.new(), maxlen=tail)
            if file.rest and not follow:
                there.append(_text(file.rest))
            yield from ((name, line) for line in there)
        while follow:
            came = [(name, line) for name, file in opened.items() for line in file.new()]
            yield from came
            if not came:
                time.sleep(_POLL_SECONDS)
    finally:
        for file in opened.values():
            file.close()


class _File:
    """One log, across its rotations.

    Attributes:
        rest: The beginning of a line whose end has not been written yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self.rest = b""

    def new(self) -> Iterator[str]:
        """The whole lines since the last look: of a file that was rotated away, then of the new."""
        while True:
            if self._file is not None:
                rotated = self._is_rotated()
                for part in self._file:
                    self.rest += part
                    if part.endswith(b"\n"):
                        line, self.rest = self.rest, b""
                        yield _text(line)
                if not rotated:
                    return
                self.close()
            try:
                self._file = self._path.open("rb")
            except FileNotFoundError:
                return

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _is_rotated(self) -> bool:
        """Another file is in its place; asked before reading, so that the last lines are read."""
        try:
            return self._file is not None and not os.path.samestat(
                os.fstat(self._file.fileno()), self._path.stat()
            )
        except FileNotFoundError:
            # Between two files, in the middle of a rotation.
            return False


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace").rstrip("\r\n")
