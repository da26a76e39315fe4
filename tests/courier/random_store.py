"""Rows for every table of a MLflow store, drawn by a seed, with all that a value may be."""

import json
import random
import re
import string
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import count, product
from typing import Any

import sqlalchemy as sa

HOSTILE = [
    "", " ", "\\N", "\\", "\\\\", "\\n", "a\tb", "a\nb", "a\r\nb", "\b\f\v\x1b\x7f", "'", '"', "`",
    "it''s", "'; DROP TABLE runs; --", "%s %(a)s %%", "{}", "NULL", "null", "\\.", "\u2028\x85",
    "é", "e\u0301", "ß", "ﬁ", "日本語", "🦊👩‍👩‍👧",
    "\u202eabc", "\ufeff", "\U0010ffff", "a ", " a", "\\'", "\\\t",
    "<script>", "$1", "1.0", "0x10", "t", "NaN", "\\x00", "\\\\x41", "/* */", "-- ", "#",
]  # fmt: skip
_FLOATS = [0.0, 1.0, -1.0, 0.1 + 0.2, 1 / 3, 5e-324, 2.2250738585072014e-308,
           1.7976931348623157e308, -1.7976931348623157e308, 1e15, 1e16, 123456789.123456789, 1e-5,
           1e22, 9007199254740993.0]  # fmt: skip
# MySQL keeps these two in single precision.
_SINGLE = {("budget_policies", "budget_amount"), ("endpoint_model_mappings", "weight")}
_WORDS = string.ascii_letters + string.digits + "äöüßñ漢字🦊\\\t\n'\"%_-./: "


def fill(uri: str, seed: int, rows: int = 12) -> None:
    """Insert up to `rows` rows into every table of an empty store on SQLite."""
    engine = sa.create_engine(uri)
    with engine.begin() as connection:
        connection.execute(sa.text("PRAGMA foreign_keys = ON"))
        metadata = sa.MetaData()
        metadata.reflect(connection)
        inspector = sa.inspect(connection)
        for table in metadata.sorted_tables:
            if not table.name.startswith("alembic_version"):
                connection.execute(table.delete())
                checks = [check["sqltext"] for check in inspector.get_check_constraints(table.name)]
                for row in _Rows(connection, table, checks, random.Random(f"{seed} {table}"), rows):
                    connection.execute(table.insert().values(**row))
    engine.dispose()


class _Rows:
    def __init__(
        self,
        connection: sa.Connection,
        table: sa.Table,
        checks: list[str],
        chance: random.Random,
        rows: int,
    ) -> None:
        self._table = table
        self._chance = chance
        self._rows = rows
        self._number = count()
        self._allowed = {
            found[1]: [value.strip(" '") for value in found[2].split(",")]
            for check in checks
            if (found := re.fullmatch(r"\W*(\w+)\W+IN \(([^()]*)\)\W*", check, re.IGNORECASE))
        }
        unique = [{column.name for column in table.primary_key}]
        unique += [{c.name for c in index.columns} for index in table.indexes if index.unique]
        unique += [
            {c.name for c in constraint.columns}
            for constraint in table.constraints
            if isinstance(constraint, sa.UniqueConstraint)
        ]
        self._unique = set().union(*unique)
        self._parents = [
            (
                [element.parent.name for element in key.elements],
                connection.execute(
                    sa.select(*(element.column for element in key.elements))
                ).fetchall(),
            )
            for key in table.foreign_key_constraints
        ]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        referring = {name for names, _ in self._parents for name in names}
        choices = list(product(*(found for _, found in self._parents)))
        alone = {column.name for column in self._table.primary_key} <= referring
        self._chance.shuffle(choices)
        for number in range(min(len(choices), self._rows) if alone else self._rows):
            if not choices:
                return
            row: dict[str, Any] = {}
            for (names, _), found in zip(
                self._parents, choices[number % len(choices)], strict=True
            ):
                row |= dict(zip(names, found, strict=True))
            for column in self._table.columns:
                if column.name not in row and column.computed is None:
                    row[column.name] = self._value(column, number)
            yield row

    def _value(self, column: sa.Column[Any], number: int) -> Any:
        chance = self._chance
        if column.name in self._allowed:
            allowed = chance.choice(self._allowed[column.name])
            return int(allowed) if allowed.isdigit() else allowed
        if column.nullable and chance.random() < 0.2 and column.name not in self._unique:
            return None
        match column.type:
            case sa.Boolean():
                return chance.random() < 0.5
            case sa.Integer():
                if column.primary_key and len(self._table.primary_key) == 1:
                    return number  # 0 is one that a database may want to number itself
                if column.name.endswith("_unix_nano"):
                    return chance.getrandbits(62)  # a column is their difference
                bits = 63 if isinstance(column.type, sa.BigInteger) else 31
                return chance.choice([0, -1, 2**bits - 1, -(2**bits), chance.getrandbits(31)])
            case sa.Float():
                if (self._table.name, column.name) in _SINGLE:
                    return chance.choice([0.1, 1e10, 3.25e-5, 1234567.9])
                return chance.choice([*_FLOATS, chance.gauss(0, 1), chance.lognormvariate(0, 50)])
            case sa.JSON():
                return self._document(3)
            case sa.LargeBinary():
                return chance.randbytes(chance.choice([0, 1, 40, 5000]))
            case sa.Date():
                return date(2026, 11, 21) - timedelta(days=chance.randrange(40_000))
            case sa.String():
                return self._text(column)
        raise AssertionError(column.type)

    def _text(self, column: sa.Column[Any]) -> str:
        chance = self._chance
        limit = getattr(column.type, "length", None) or 16_000
        text = chance.choice(
            [
                chance.choice(HOSTILE),
                "".join(chance.choices(_WORDS, k=chance.randrange(60))),
                chance.choice("xü🦊\\") * limit,
            ]
        )
        # Whatever a database's collation takes to be equal.
        return (f"{next(self._number)} {text}" if column.name in self._unique else text)[:limit]

    def _document(self, depth: int) -> Any:
        chance = self._chance
        kind = chance.randrange(8 if depth else 6)
        if kind == 6:
            return [self._document(depth - 1) for _ in range(chance.randrange(4))]
        if kind == 7:
            keys = [*HOSTILE, "a", "b", "aa", "B"]
            return {chance.choice(keys): self._document(depth - 1) for _ in range(3)}
        simple: list[Any] = [True, chance.choice(HOSTILE), chance.choice([0, -1, 2**53 + 1, 2**63]),
                             chance.choice(_FLOATS), json.dumps(HOSTILE), False]  # fmt: skip
        return simple[kind]
