"""What filling a store is on every database: a transaction, tables emptied, frames taken apart."""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any, Protocol

import sqlalchemy

from stackctl.courier.connections import driver_error
from stackctl.courier.copytext import Fields
from stackctl.courier.errors import DatabaseFailed, Misfit, Refused
from stackctl.courier.explanations import Explain
from stackctl.courier.frames import Frame
from stackctl.courier.tables import Column, Table


class Target(Protocol):
    """A store that is filled."""

    tables: dict[str, Table]

    def clear(self) -> None:
        """Delete every row of every table."""

    def load(self, frame: Frame) -> None:
        """Add the rows of a frame.

        Raises:
            Refused: A value does not fit, or a row contradicts another.
        """

    def number(self) -> None:
        """See to it that the database numbers new rows after those that were loaded."""


class DriverTarget:
    """What the targets have in common."""

    explain: Explain

    def __init__(self, opened: sqlalchemy.Engine, connection: Any, tables: list[Table]) -> None:
        self.tables = {table.name: table for table in tables}
        self._connection = connection
        self._quote = opened.dialect.identifier_preparer.quote_identifier
        self._error = driver_error(opened)

    def begin(self) -> None:
        """Open the transaction."""
        raise NotImplementedError

    def clear(self) -> None:
        """Delete every row, those that refer to others first."""
        for table in reversed(self.tables.values()):
            with self.failing(table):
                self._execute(f"DELETE FROM {self._quote(table.name)}")  # noqa: S608

    def load(self, frame: Frame) -> None:
        """Add the rows of a frame."""
        table = self.tables[frame.table]
        if frame.rows:
            with self.failing(table):
                self._load(table, frame)

    def number(self) -> None:
        """MySQL and SQLite number after the greatest number that was ever there."""

    def roll_back(self) -> None:
        """Undo everything since `begin`."""
        try:
            self._connection.rollback()
        except self._error:
            # The connection is gone, and with it the transaction.
            return

    @contextmanager
    def failing(self, table: Table | None = None) -> Iterator[None]:
        """Errors of the driver as what they mean."""
        try:
            yield
        except self._error as error:
            raise type(self).explain(error, table) from None

    def _execute(self, statement: str) -> int:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(statement)
            return int(cursor.rowcount)

    def _load(self, table: Table, frame: Frame) -> None:
        raise NotImplementedError

    def _names(self, frame: Frame) -> str:
        return ", ".join(map(self._quote, frame.columns))


@contextmanager
def fitting(table: Table, column: Column) -> Iterator[None]:
    """A misfit as a refusal that names table and column."""
    try:
        yield
    except Misfit as error:
        raise Refused(f"{table.name}.{column.name}: {error}") from None


def columns_of(table: Table, frame: Frame) -> list[tuple[Column, Fields]]:
    """The columns of a frame, in its order, with their fields."""
    known = {column.name: column for column in table.columns}
    fields = zip(*rows_of(table, frame), strict=True)
    return [(known[name], found) for name, found in zip(frame.columns, fields, strict=True)]


def rows_of(table: Table, frame: Frame) -> list[list[str]]:
    """The fields of each row of a frame."""
    try:
        rows = [line.split("\t") for line in frame.data.decode().split("\n")[:-1]]
    except UnicodeDecodeError:
        raise Refused(f"table {table.name}: a row is not UTF-8") from None
    if any(len(row) != len(frame.columns) for row in rows):
        raise Refused(f"table {table.name}: a row has not the columns of its frame")
    return rows


def first_wrong(table: Table, frame: Frame, wrong: Callable[[str, str], bool]) -> str | None:
    """The first column that has a wrong field."""
    for row in rows_of(table, frame):
        for name, field in zip(frame.columns, row, strict=True):
            if wrong(name, field):
                return name
    return None


def check_count(table: Table, frame: Frame, loaded: int) -> None:
    """Raise DatabaseFailed unless the database took as many rows as there are."""
    if loaded != frame.rows:
        raise DatabaseFailed(f"table {table.name}: {loaded} of {frame.rows} rows were taken")
