"""The names in an archive: each is there once, and can be a file's where it becomes one."""

import hashlib
import os
from pathlib import PurePosixPath

# What file systems take.
_LONGEST = 255


class Names:
    """Those that were seen."""

    def __init__(self, *, files: bool) -> None:
        """`files` says that they become files and folders of a machine."""
        self._become_files = files
        # Marks are shorter than names, of which there may be millions.
        self._seen, self._files, self._folders = set[bytes](), set[bytes](), set[bytes]()
        self._above, self._parents = "", set[bytes]()

    def problem(self, name: str, *, folder: bool) -> str:
        """What is wrong with the next one, in words; "" where nothing is."""
        mark = _mark(name)
        if mark in self._seen:
            return "is in it twice"
        self._seen.add(mark)
        if not self._become_files:
            return ""
        if any(len(os.fsencode(part)) > _LONGEST for part in name.split("/")):
            return f"has a part of more than {_LONGEST} bytes, and no file has such a name"
        return (
            "is below a file, or others are below it" if self._clashes(name, mark, folder) else ""
        )

    def _clashes(self, name: str, mark: bytes, folder: bool) -> bool:
        above = name.rpartition("/")[0]
        if above != self._above:
            self._above = above
            self._parents = {_mark(str(path)) for path in PurePosixPath(name).parents}
            self._folders |= self._parents
        if not folder:
            self._files.add(mark)
        return bool(self._parents & self._files) or (not folder and mark in self._folders)


def _mark(name: str) -> bytes:
    return hashlib.blake2b(os.fsencode(name), digest_size=12).digest()
