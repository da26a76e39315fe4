"""Filling a store: one transaction, in which a table is emptied and then loaded batch by batch."""

import io
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from math import isfinite
from typing import Any, ClassVar

from stackctl.courier.connections import connect, engine
from stackctl.courier.copytext import Fields, Kind, decode, single, unescape
from stackctl.courier.errors import Misfit, Refused
from stackctl.courier.explanations import explain_mysql, explain_postgres, explain_sqlite
from stackctl.courier.frames import Frame
from stackctl.courier.loading import (
    DriverTarget,
    Target,
    check_count,
    columns_of,
    first_wrong,
    fitting,
)
from stackctl.courier.parts import Part
from stackctl.courier.tables import Column, Table, reflect

_STATEMENT_BYTES = 2**19
# Strict, so that nothing is cut or replaced; and the experiment with the number 0 keeps it.
_SQL_MODE = "STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ZERO_DATE,NO_ZERO_IN_DATE"


@contextmanager
def open_target(uri: str, part: Part) -> Iterator[Target]:
    """A store in a transaction, which is kept where the block ends well, and else undone.

    Raises:
        DatabaseFailed: The database does not answer, or fails.
        Refused: The address is of none that is known.
    """
    with engine(uri, writing=True) as opened:
        tables = reflect(opened, part)
        with closing(connect(opened)) as connection:
            target = _TARGETS[opened.dialect.name](opened, connection, tables)
            with target.failing():
                target.begin()
            try:
                yield target
                with target.failing():
                    connection.commit()
            except BaseException:
                target.roll_back()
                raise


class _PostgresTarget(DriverTarget):
    explain = staticmethod(explain_postgres)

    def begin(self) -> None:
        self._connection.set_client_encoding("UTF8")
        self._execute("SET LOCAL statement_timeout = 0")
        self._execute("SET LOCAL idle_in_transaction_session_timeout = 0")

    def number(self) -> None:
        for table in self.tables.values():
            if column := table.numbered():
                name = self._quote(table.name)
                with self.failing(table), closing(self._connection.cursor()) as cursor:
                    cursor.execute("SELECT pg_get_serial_sequence(%s, %s)", (name, column))
                    (sequence,) = cursor.fetchone()
                    if sequence is None:
                        continue
                    # A sequence begins with 1, the experiments with 0.
                    most = f"coalesce(max({self._quote(column)}), 0)"
                    cursor.execute(
                        f"SELECT setval(%s, greatest({most}, 1), {most} > 0) FROM {name}",  # noqa: S608
                        (sequence,),
                    )

    def _load(self, table: Table, frame: Frame) -> None:
        if b"\0" in frame.data:
            column = first_wrong(table, frame, lambda _, field: "\0" in field)
            raise Refused(f"{table.name}.{column}: PostgreSQL takes no NUL character in a text")
        # Blanks beyond the limit are the one thing that it cuts without a word.
        if b" \t" in frame.data or b" \n" in frame.data:
            limits = {column.name: column.limit for column in table.columns}

            def too_long(column: str, field: str) -> bool:
                limit = limits[column]
                return limit is not None and field[-1:] == " " and len(unescape(field)) > limit

            if column := first_wrong(table, frame, too_long):
                raise Refused(
                    f"{table.name}.{column}: a text that ends in blanks is longer than the"
                    f" {limits[column]} characters that fit"
                )
        statement = f"COPY {self._quote(table.name)} ({self._names(frame)}) FROM STDIN"
        with closing(self._connection.cursor()) as cursor:
            cursor.copy_expert(statement, io.BytesIO(frame.data), size=2**18)
            check_count(table, frame, cursor.rowcount)


class _SqliteTarget(DriverTarget):
    explain = staticmethod(explain_sqlite)

    def begin(self) -> None:
        self._connection.isolation_level = None
        for statement in ("PRAGMA busy_timeout = 20000", "PRAGMA foreign_keys = ON"):
            self._execute(statement)
        self._execute("BEGIN IMMEDIATE")

    def _load(self, table: Table, frame: Frame) -> None:
        columns = [self._values(table, *named) for named in columns_of(table, frame)]
        places = ", ".join("?" * len(columns))
        statement = (
            f"INSERT INTO {self._quote(table.name)} ({self._names(frame)}) VALUES ({places})"  # noqa: S608
        )
        cursor = self._connection.executemany(statement, zip(*columns, strict=True))
        check_count(table, frame, cursor.rowcount)

    @staticmethod
    def _values(table: Table, column: Column, fields: Fields) -> list[Any]:
        with fitting(table, column):
            values = decode(column.kind, fields)
            # SQLite would make NULL of it.
            if column.kind is Kind.FLOAT and any(value != value for value in values):
                raise Misfit("SQLite has no NaN")
        return values


class _MysqlTarget(DriverTarget):
    """MySQL and MariaDB, by statements of many rows.

    Texts stand in the statements as the driver's own `escape` makes them.
    """

    explain = staticmethod(explain_mysql)
    _packet = 0

    def begin(self) -> None:
        self._execute(f"SET SESSION sql_mode = '{_SQL_MODE}'")
        self._execute("SET SESSION foreign_key_checks = 1, unique_checks = 1, sql_notes = 1")
        with closing(self._connection.cursor()) as cursor:
            cursor.execute("SELECT @@max_allowed_packet")
            self._packet = int(cursor.fetchone()[0])
        self._connection.begin()

    def _load(self, table: Table, frame: Frame) -> None:
        columns = [self._literals(table, *named) for named in columns_of(table, frame)]
        head = f"INSERT INTO {self._quote(table.name)} ({self._names(frame)}) VALUES\n"
        batch: list[str] = []
        heavy = loaded = 0
        for row in zip(*columns, strict=True):
            line = f"({','.join(row)})"
            weight = len(line.encode())
            if batch and heavy + weight > _STATEMENT_BYTES:
                loaded += self._insert(table, head, batch)
                batch, heavy = [], 0
            if weight + len(head) + 1024 > self._packet:
                heaviest = max(zip(row, frame.columns, strict=True), key=lambda pair: len(pair[0]))
                raise Refused(
                    f"{table.name}.{heaviest[1]}: a row of {weight} bytes is more than this server"
                    f" takes at once (max_allowed_packet is {self._packet})"
                )
            batch.append(line)
            heavy += weight
        loaded += self._insert(table, head, batch)
        check_count(table, frame, loaded)

    def _insert(self, table: Table, head: str, lines: list[str]) -> int:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(head + ",\n".join(lines))
            if cursor.warning_count:
                # Blanks beyond a column's limit are cut in every mode, with no more than a note.
                cursor.execute("SHOW WARNINGS")
                raise explain_mysql(cursor.fetchone()[1:], table)
            return int(cursor.rowcount)

    def _literals(self, table: Table, column: Column, fields: Fields) -> list[str]:
        with fitting(table, column):
            make = self._LITERALS[column.kind]
            values = decode(column.kind, fields)
            return ["NULL" if value is None else make(self, value) for value in values]

    def _number(self, value: int) -> str:
        return str(value)

    def _float(self, value: float) -> str:
        if not isfinite(value):
            raise Misfit(f"MySQL has no {value}")
        text = repr(value)
        # Without an exponent it would be a decimal of fixed digits.
        return text if "e" in text else f"{text}e0"

    def _single(self, value: float) -> str:
        if isfinite(value) and single(value) != value:
            raise Misfit(f"{value} has more digits than single precision keeps")
        return self._float(value)

    def _text(self, value: str) -> str:
        return str(self._connection.escape(value))

    def _blob(self, value: bytes) -> str:
        return f"_binary X'{value.hex()}'"

    _LITERALS: ClassVar[dict[Kind, Callable[["_MysqlTarget", Any], str]]] = {
        Kind.INTEGER: _number,
        Kind.BOOLEAN: _number,
        Kind.FLOAT: _float,
        Kind.SINGLE: _single,
        Kind.TEXT: _text,
        Kind.JSON: _text,
        Kind.BLOB: _blob,
        Kind.DATE: _text,
    }


_TARGETS: dict[str, type[DriverTarget]] = {
    "sqlite": _SqliteTarget,
    "postgresql": _PostgresTarget,
    "mysql": _MysqlTarget,
    "mariadb": _MysqlTarget,
}
