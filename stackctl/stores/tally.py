"""How much the rows of a dump are, counted as the database that they are for would count them."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from typing import Self

from stackctl.courier.copytext import NULL
from stackctl.courier.counting import COLUMNS, counted
from stackctl.errors import MachineError
from stackctl.stores.base import Ranges, unlike

# A table has at least one.
_NO_COLUMN = ("some",)


class Tally:
    """What is counted of a dump, in a database of SQLite that is gone with it."""

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)
        self._seen: set[str] = set()
        self._is_known = True

    def __enter__(self) -> Self:
        self._database.execute("BEGIN")
        for table, columns in COLUMNS.items():
            self._database.execute(f"CREATE TABLE {table} ({', '.join(columns or _NO_COLUMN)})")
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def take(self, table: str, columns: Sequence[str], rows: Iterable[bytes]) -> None:
        """Some more rows of a table, in PostgreSQL's COPY text format.

        Raises:
            MachineError: There is no room to count them.
            ValueError: They have not these columns.
        """
        if (wanted := COLUMNS.get(table)) is None:
            return
        if not set(wanted) <= set(columns):
            self._is_known = False
            return
        self._seen.add(table)
        places = ", ".join("?" for _ in wanted or _NO_COLUMN)
        chosen = _chosen(rows, [columns.index(name) for name in wanted], len(columns))
        try:
            self._database.executemany(f"INSERT INTO {table} VALUES ({places})", chosen)  # noqa: S608
        except sqlite3.OperationalError as error:
            raise MachineError(
                f"the rows of table {table} cannot be counted: {error}",
                hint="make room in the folder for temporary files, or set TMPDIR to another one",
            ) from error

    def differs(self, counts: Ranges) -> str:
        """Of which kind there are more or fewer than there should be, in words; "" where of none.

        "" too where a table has other columns than those that we know: nothing can be said then.
        """
        if not self._is_known:
            return ""
        with closing(self._database.cursor()) as cursor:
            there, _ = counted(
                self._seen, lambda query, own: cursor.execute(query, own).fetchone()[0]
            )
        differs = unlike(counts, there)
        return differs and f"holds {differs}"


def _chosen(
    rows: Iterable[bytes], places: Sequence[int], width: int
) -> Iterator[tuple[str | None, ...]]:
    for row in rows:
        fields = row.split(b"\t")
        if len(fields) != width:
            raise ValueError(f"has a row of {len(fields)} fields, and not {width}")
        yield tuple(_text(fields[place]) for place in places) or (None,)


def _text(field: bytes) -> str | None:
    text = field.decode("utf-8", "replace")
    return None if text == NULL else text
