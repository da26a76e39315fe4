"""The tables of a store: which count, in which order, and what their columns hold.

Everything is read from the database itself, never from MLflow's models: the two differ in details,
and a database tells what its columns really are.
"""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy
from sqlalchemy import types
from sqlalchemy.dialects import mysql

from stackctl.courier import strangers
from stackctl.courier.copytext import Kind
from stackctl.courier.errors import DatabaseFailed, Refused, first_line
from stackctl.courier.misfit import Shape
from stackctl.courier.parts import Part, belongs


@dataclass(frozen=True)
class Column:
    """A column.

    Attributes:
        limit: How many characters of text fit, None where the database sets no such limit.
    """

    name: str
    kind: Kind
    limit: int | None


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        columns: In the order of their names, so that equal rows make equal lines everywhere.
        key: The names of its primary key's columns.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Of its columns, in their order."""
        return tuple(column.name for column in self.columns)

    @property
    def shape(self) -> Shape:
        """Its columns by what they hold."""

        def of(*kinds: Kind) -> tuple[str, ...]:
            return tuple(column.name for column in self.columns if column.kind in kinds)

        return Shape(
            of(Kind.TEXT), self.key, of(Kind.INTEGER), of(Kind.FLOAT, Kind.SINGLE), of(Kind.JSON)
        )

    def numbered(self) -> str | None:
        """The column that the database may number by itself."""
        (*rest, first) = self.key or (None,)
        kinds = {column.name: column.kind for column in self.columns}
        return first if not rest and first and kinds[first] is Kind.INTEGER else None


def reflect(engine: sqlalchemy.Engine, part: Part) -> list[Table]:
    """The tables of a part, those that others refer to first, without those that are left alone.

    Raises:
        DatabaseFailed: The database does not answer.
        Refused: A column has a type that no store of MLflow has.
    """
    metadata = sqlalchemy.MetaData()
    try:
        with warnings.catch_warnings(), engine.connect() as connection:
            # Of indexes on expressions, which do not matter here.
            warnings.simplefilter("ignore", sqlalchemy.exc.SAWarning)
            metadata.reflect(connection)
            documents = _checked_json(connection)
            others = strangers.names(connection)
    except sqlalchemy.exc.DBAPIError as error:
        raise DatabaseFailed(
            f"the database does not answer: {first_line(error.orig or error)}"
        ) from None
    found = [table for table in metadata.sorted_tables
             if belongs(table.name, part) and table.name not in others]  # fmt: skip
    dialect = engine.dialect.name
    return [_table(table, dialect, documents) for table in found]


def _checked_json(connection: sqlalchemy.Connection) -> Mapping[str, str]:
    """By table, what MariaDB checks of its columns: its type JSON is text that is checked."""
    if not getattr(connection.dialect, "is_mariadb", False):
        return {}
    rows = connection.execute(
        sqlalchemy.text(
            "SELECT table_name, group_concat(check_clause SEPARATOR ' ')"
            " FROM information_schema.check_constraints"
            " WHERE constraint_schema = database() AND check_clause LIKE '%json_valid%'"
            " GROUP BY table_name"
        )
    )
    return {str(table): str(clauses) for table, clauses in rows}


def _table(table: sqlalchemy.Table, dialect: str, documents: Mapping[str, str]) -> Table:
    columns = []
    # What a database computes from other columns cannot be given to it.
    stored = [column for column in table.columns if column.computed is None]
    for column in sorted(stored, key=lambda column: column.name):
        kind = _kind(column.type, dialect)
        if f"json_valid(`{column.name}`)" in documents.get(table.name, ""):
            kind = Kind.JSON
        if kind is None:
            raise Refused(f"{table.name}.{column.name} has an unknown type: {column.type!r}")
        limit = getattr(column.type, "length", None) if kind is Kind.TEXT else None
        # SQLite keeps to no limit, and MLflow on SQLite neither.
        columns.append(Column(column.name, kind, None if dialect == "sqlite" else limit))
    key = tuple(column.name for column in table.primary_key.columns)
    return Table(table.name, tuple(columns), key)


def _kind(found: types.TypeEngine[Any], dialect: str) -> Kind | None:
    if isinstance(found, mysql.TINYINT):
        return Kind.BOOLEAN if found.display_width == 1 else Kind.INTEGER
    if isinstance(found, mysql.FLOAT) and dialect in {"mysql", "mariadb"}:
        return Kind.SINGLE
    for known, kind in _KINDS:
        if isinstance(found, known):
            return kind
    return None


_KINDS: tuple[tuple[type[types.TypeEngine[Any]], Kind], ...] = (
    (types.Boolean, Kind.BOOLEAN),
    (types.Integer, Kind.INTEGER),
    (types.Float, Kind.FLOAT),
    (types.JSON, Kind.JSON),
    (types._Binary, Kind.BLOB),
    (types.String, Kind.TEXT),
    (types.Date, Kind.DATE),
)  # fmt: skip
