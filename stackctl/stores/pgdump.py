"""A dump as pg_dump writes it in its custom format: is it whole, and which rows does it hold?

PostgreSQL 18, src/bin/pg_dump/pg_backup_archiver.c and pg_backup_custom.c: a header, a table of
contents, and a block of data for each entry that has some. Rows are in COPY's text format, ended by
a line of its own, and compressed as the header says.
"""

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO

MAGIC = b"PGDMP"
# Of PostgreSQL 12 to 18. What a later one writes is left to its own pg_restore.
_KNOWN = range(14, 17)
_CUSTOM, _DATA, _BLOBS = 1, 1, 3
_CHUNK = 1 << 20
# How blocks are compressed that we can read: not at all, and by zlib.
_PLAIN, _ZLIB = 0, 1
_COPY = re.compile(rb"COPY public\.(\w+) \((.*)\) FROM stdin;\s*")
_LAST_ROW = b"\\."
_CUT = "is cut short"

# Table, columns and rows.
Take = Callable[[str, Sequence[str], Iterable[bytes]], None]


class Damaged(ValueError):
    """It is no whole dump; the message goes on from its name."""


def read(content: BinaryIO, take: Take) -> bool:
    """Read all of it, and give the rows of each table of schema `public`.

    Args:
        content: What follows the magic bytes.
        take: Gets them, table by table.

    Returns:
        Whether its rows could be read; not so of a version or a compression that is not known.

    Raises:
        Damaged: It has not the data that its table of contents names, to the last byte.
    """
    return _Dump(content, take).read()


class _Dump:
    def __init__(self, content: BinaryIO, take: Take) -> None:
        self._content, self._give = content, take
        # The revision of the version says nothing of the format.
        major, self._minor, _, self._wide, self._offset, kind = self._take(6)
        self._known = major == 1 and self._minor in _KNOWN and kind == _CUSTOM
        self._compression = _PLAIN
        # Table and columns of each entry that has rows.
        self._tables: dict[int, tuple[str, tuple[str, ...]]] = {}

    def read(self) -> bool:
        if not self._known:
            return False
        if self._minor >= 15:
            (self._compression,) = self._take(1)
        else:
            self._compression = _ZLIB if self._number(negative=True) else _PLAIN
        # When it was made, of what and by whom.
        for _ in range(7):
            self._number()
        for _ in range(3):
            self._text()
        for _ in range(sum([self._entry() for _ in range(self._number())])):
            self._block()
        return self._is_readable

    @property
    def _is_readable(self) -> bool:
        return self._compression in (_PLAIN, _ZLIB)

    def _entry(self) -> bool:
        """Read one of the table of contents; whether it has data."""
        number = self._number()
        has_data = self._number() != 0
        # Ids of table and object, tag, kind; the section; how it is made and dropped.
        self._texts(4)
        self._number()
        self._texts(2)
        if found := _COPY.fullmatch(self._words() or b""):
            names = found[2].decode("utf-8", "replace").split(", ")
            self._tables[number] = found[1].decode(), tuple(name.strip('"') for name in names)
        # The name space, the table space, the access method.
        self._texts(3)
        if self._minor >= 16:
            self._number()
        self._texts(2)
        while self._text():
            pass
        self._take(1 + self._offset)
        return has_data

    def _block(self) -> None:
        (kind,) = self._take(1)
        number = self._number()
        if kind == _DATA:
            chunks = self._chunks()
            if number in self._tables and self._is_readable:
                self._give(*self._tables[number], self._rows(chunks))
            for _ in chunks:
                pass
        elif kind == _BLOBS:
            while self._number():
                for _ in self._chunks():
                    pass
        else:
            raise Damaged(_CUT)

    def _rows(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        rest = b""
        for piece in self._plain(chunks):
            *rows, rest = (rest + piece).split(b"\n")
            for row in rows:
                if row == _LAST_ROW:
                    return
                yield row
        raise Damaged(_CUT)

    def _plain(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        # Of any level and header.
        unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)
        # No `yield from`: whoever stops here would end the chunks too.
        for chunk in chunks:
            if self._compression == _PLAIN:
                yield chunk
                continue
            while chunk and not unpack.eof:
                try:
                    yield unpack.decompress(chunk, _CHUNK)
                except zlib.error as error:
                    raise Damaged(f"is damaged: {error}") from None
                chunk = unpack.unconsumed_tail

    def _chunks(self) -> Iterator[bytes]:
        while size := self._number():
            yield from self._pieces(size)

    def _texts(self, count: int) -> None:
        for _ in range(count):
            self._text()

    def _text(self) -> bool:
        """Pass over one; whether there is one."""
        return self._words() is not None

    def _words(self) -> bytes | None:
        size = self._number(negative=True)
        return None if size < 0 else b"".join(self._pieces(size))

    def _number(self, *, negative: bool = False) -> int:
        sign, *value = self._take(1 + self._wide)
        number = int.from_bytes(value, "little")
        if sign and not negative:
            raise Damaged(_CUT)
        return -number if sign else number

    def _pieces(self, size: int) -> Iterator[bytes]:
        # A size that is not true must not ask for more memory than there are bytes.
        while size:
            piece = self._take(min(size, _CHUNK))
            size -= len(piece)
            yield piece

    def _take(self, size: int) -> bytes:
        taken = self._content.read(size)
        if len(taken) != size:
            raise Damaged(_CUT)
        return taken
