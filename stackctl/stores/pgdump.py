"""Is a file a whole dump, as pg_dump writes it in its custom format?

PostgreSQL 18, src/bin/pg_dump/pg_backup_archiver.c and pg_backup_custom.c: a header, a table of
contents, and a block of data for each entry that has some.
"""

from typing import BinaryIO

MAGIC = b"PGDMP"
# Of PostgreSQL 12 to 18. What a later one writes is left to its own pg_restore.
_KNOWN = range(14, 17)
_CUSTOM, _DATA, _BLOBS = 1, 1, 3
_CHUNK = 1 << 20


class _Cut(Exception):
    """It ends too early, or goes on with something else."""


def is_whole(content: BinaryIO) -> bool:
    """What follows the magic bytes has the data that its table of contents names, to the last byte.

    True too of a version that is not known.
    """
    try:
        return _Dump(content).is_whole()
    except _Cut:
        return False


class _Dump:
    def __init__(self, content: BinaryIO) -> None:
        self._content = content
        # The revision of the version says nothing of the format.
        major, self._minor, _, self._wide, self._offset, kind = self._take(6)
        self._known = major == 1 and self._minor in _KNOWN and kind == _CUSTOM

    def is_whole(self) -> bool:
        if not self._known:
            return True
        # How it is compressed; then when it was made, of what and by whom.
        self._take(1) if self._minor >= 15 else self._number(negative=True)
        for _ in range(7):
            self._number()
        for _ in range(3):
            self._text()
        for _ in range(sum([self._entry() for _ in range(self._number())])):
            self._block()
        return True

    def _entry(self) -> bool:
        """Pass over one of the table of contents; whether it has data."""
        self._number()
        has_data = self._number() != 0
        # Ids of table and object, tag, kind; the section; how it is made, dropped and copied, the
        # name space, the table space, the access method.
        self._texts(4)
        self._number()
        self._texts(6)
        if self._minor >= 16:
            self._number()
        self._texts(2)
        while self._text():
            pass
        self._take(1 + self._offset)
        return has_data

    def _block(self) -> None:
        (kind,) = self._take(1)
        self._number()
        if kind == _DATA:
            self._chunks()
        elif kind == _BLOBS:
            while self._number():
                self._chunks()
        else:
            raise _Cut

    def _chunks(self) -> None:
        while size := self._number():
            self._pass(size)

    def _texts(self, count: int) -> None:
        for _ in range(count):
            self._text()

    def _text(self) -> bool:
        """Pass over one; whether there is one."""
        size = self._number(negative=True)
        self._pass(max(size, 0))
        return size >= 0

    def _number(self, *, negative: bool = False) -> int:
        sign, *value = self._take(1 + self._wide)
        number = int.from_bytes(value, "little")
        if sign and not negative:
            raise _Cut
        return -number if sign else number

    def _pass(self, size: int) -> None:
        # A size that is not true must not ask for more memory than there are bytes.
        while size:
            size -= len(self._take(min(size, _CHUNK)))

    def _take(self, size: int) -> bytes:
        taken = self._content.read(size)
        if len(taken) != size:
            raise _Cut
        return taken
