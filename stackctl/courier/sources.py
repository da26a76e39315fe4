"""Reading every row of a store, in one snapshot, a batch at a time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Protocol

import sqlalchemy

from stackctl.courier.connections import connect, driver_error, engine
from stackctl.courier.copytext import Fields, Kind, encode, floats
from stackctl.courier.errors import DatabaseFailed, Misfit, Refused, first_line
from stackctl.courier.parts import Part
from stackctl.courier.tables import Column, Table, reflect

# A batch ends with the row that makes it so heavy: a row of one heavy value is a batch of its own.
BATCH_BYTES = 2**20
# What a field weighs beside its text.
_FIELD_BYTES = 20
_LONG = {Kind.TEXT, Kind.JSON, Kind.BLOB}

Consume = Callable[[list[Fields]], None]


class Source(Protocol):
    """A store that is read."""

    tables: list[Table]

    def read(self, table: Table, consume: Consume) -> None:
        """Give each batch's columns of fields, in the order of the table's columns.

        Raises:
            DatabaseFailed: The database fails while it is read.
            Refused: It holds a value that is not of its column's type.
        """


@contextmanager
def open_source(uri: str, part: Part) -> Iterator[Source]:
    """A store's tables as they are at one moment.

    Every table is read in one transaction, which sees no other's writes: REPEATABLE READ on
    PostgreSQL and MySQL, the read transaction of SQLite. Nothing is written.

    Raises:
        DatabaseFailed: The database does not answer.
        Refused: The address is of none that is known.
    """
    with engine(uri, writing=False) as opened:
        tables = reflect(opened, part)
        make = _SOURCES[opened.dialect.name]
        with closing(make.connect(opened)) as connection:
            yield make(opened, connection, tables)


class _DriverSource:
    """What the sources have in common."""

    def __init__(self, opened: sqlalchemy.Engine, connection: Any, tables: list[Table]) -> None:
        self.tables = tables
        self._connection = connection
        self._quote = opened.dialect.identifier_preparer.quote_identifier
        self._error = driver_error(opened)
        try:
            self._begin()
        except self._error as error:
            raise DatabaseFailed(f"no snapshot of the database: {first_line(error)}") from None

    @staticmethod
    def connect(opened: sqlalchemy.Engine) -> Any:
        return connect(opened)

    def read(self, table: Table, consume: Consume) -> None:
        try:
            self._read(table, consume)
        except self._error as error:
            raise DatabaseFailed(f"table {table.name}: {first_line(error)}") from None

    def _begin(self) -> None:
        raise NotImplementedError

    def _read(self, table: Table, consume: Consume) -> None:
        raise NotImplementedError


class _ValueSource(_DriverSource):
    """A database whose driver hands out one row of values after the other, unbuffered."""

    # What gives the number of bytes of a value.
    _bytes = ""

    def _read(self, table: Table, consume: Consume) -> None:
        names = [self._quote(column.name) for column in table.columns]
        long = [self._quote(column.name) for column in table.columns if column.kind in _LONG]
        weight = [f"coalesce({self._bytes.format(name)}, 0)" for name in long]
        weight.append(str(_FIELD_BYTES * len(names)))
        selected = [
            # MySQL would give six digits of a float of single precision.
            f"{name} + 0e0" if column.kind is Kind.SINGLE else name
            for name, column in zip(names, table.columns, strict=True)
        ]
        cursor = self._connection.cursor()
        cursor.execute(
            f"SELECT {', '.join(selected)}, {' + '.join(weight)} FROM {self._quote(table.name)}"  # noqa: S608
        )
        batch: list[Sequence[Any]] = []
        heavy = 0
        for row in cursor:
            batch.append(row)
            heavy += row[-1]
            if heavy >= BATCH_BYTES:
                consume(_encoded(table, batch))
                batch, heavy = [], 0
        if batch:
            consume(_encoded(table, batch))
        cursor.close()


class _SqliteSource(_ValueSource):
    _bytes = "length(cast({} AS BLOB))"

    def _begin(self) -> None:
        self._connection.isolation_level = None
        self._connection.execute("BEGIN")


class _MysqlSource(_ValueSource):
    _bytes = "length({})"

    @staticmethod
    def connect(opened: sqlalchemy.Engine) -> Any:
        return connect(opened, cursorclass=opened.dialect.loaded_dbapi.cursors.SSCursor)

    def _begin(self) -> None:
        with closing(self._connection.cursor()) as cursor:
            # Whoever loads what is read here may take its time for a batch.
            cursor.execute("SET SESSION net_write_timeout = 3600")
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")


class _PostgresSource(_DriverSource):
    """PostgreSQL, which writes rows in its COPY format by itself.

    A cursor of the server would hand out a fixed number of rows at a time, however heavy they are;
    COPY hands out one.
    """

    def _begin(self) -> None:
        self._connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        self._connection.set_client_encoding("UTF8")
        with closing(self._connection.cursor()) as cursor:
            cursor.execute("SET statement_timeout = 0; SET extra_float_digits = 1")
            cursor.execute("SET bytea_output = hex; SET DateStyle = ISO")

    def _read(self, table: Table, consume: Consume) -> None:
        names = ", ".join(map(self._quote, table.names))
        lines = _Lines(table, consume)
        with closing(self._connection.cursor()) as cursor:
            cursor.copy_expert(f"COPY {self._quote(table.name)} ({names}) TO STDOUT", lines)
        lines.flush()


class _Lines:
    """What PostgreSQL writes one row into after the other."""

    def __init__(self, table: Table, consume: Consume) -> None:
        self._table = table
        self._consume = consume
        self._lines: list[bytes] = []
        self._heavy = 0

    def write(self, line: bytes) -> None:
        self._lines.append(line)
        self._heavy += len(line)
        if self._heavy >= BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        if not self._lines:
            return
        text = b"".join(self._lines).decode()
        self._lines, self._heavy = [], 0
        columns: list[Fields] = list(
            zip(*[x.split("\t") for x in text.split("\n")[:-1]], strict=True)
        )
        for index, column in enumerate(self._table.columns):
            if column.kind in {Kind.FLOAT, Kind.SINGLE}:
                columns[index] = floats(columns[index])
        self._consume(columns)


def _encoded(table: Table, batch: Sequence[Sequence[Any]]) -> list[Fields]:
    values = zip(*batch, strict=True)
    return [_fields(table, column, found) for column, found in zip(table.columns, values)]  # noqa: B905


def _fields(table: Table, column: Column, values: Sequence[Any]) -> Fields:
    try:
        return encode(column.kind, values)
    except Misfit as error:
        raise Refused(f"{table.name}.{column.name}: {error}") from None


_SOURCES: dict[str, type[_DriverSource]] = {
    "sqlite": _SqliteSource,
    "postgresql": _PostgresSource,
    "mysql": _MysqlSource,
    "mariadb": _MysqlSource,
}
