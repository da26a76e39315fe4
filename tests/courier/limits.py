"""What is in `stackctl/courier/limits.py`, from the schema that MLflow makes: run this module."""

import tempfile
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from stackctl.courier import limits
from stackctl.courier.database import migrate
from stackctl.courier.parts import Part, belongs

_LONGER = (sa.BigInteger, mysql.TINYINT)
_HEAD = '''"""How many characters each text of MLflow's schema holds, on PostgreSQL and MySQL alike.

Made by `python -m tests.courier.limits` from the schema of MLflow {version}. On SQLite the same
numbers are declared, and nobody keeps to them.
"""

CHARACTERS: dict[str, dict[str, int]] = {{
'''
_NARROW = "# The integers of four bytes there.\nNARROW: dict[str, tuple[str, ...]] = {\n"


def declared(engine: sa.Engine) -> dict[str, dict[str, int]]:
    """The lengths that a database says of its own columns."""
    found = sa.MetaData()
    found.reflect(engine)
    tables = {
        table.name: {
            column.name: length
            for column in sorted(table.columns, key=lambda column: column.name)
            if (length := getattr(column.type, "length", None))
        }
        for table in sorted(found.tables.values(), key=lambda table: table.name)
        if belongs(table.name, Part.TRACKING)
    }
    return {name: columns for name, columns in tables.items() if columns}


def narrow(engine: sa.Engine) -> dict[str, tuple[str, ...]]:
    """The integers that are no longer than INTEGER, as a database says of its own columns.

    Without those called `id`, which are INTEGER on SQLite alone: it numbers nothing else.
    """
    found = sa.MetaData()
    found.reflect(engine)
    tables = {
        table.name: tuple(sorted(
            column.name for column in table.columns
            if isinstance(column.type, sa.Integer) and not isinstance(column.type, _LONGER)
            and column.name != "id"
        ))
        for table in sorted(found.tables.values(), key=lambda table: table.name)
        if belongs(table.name, Part.TRACKING)
    }  # fmt: skip
    return {name: columns for name, columns in tables.items() if columns}


def made() -> tuple[dict[str, dict[str, int]], dict[str, tuple[str, ...]]]:
    """Those of a new database on SQLite."""
    with tempfile.TemporaryDirectory() as folder:
        engine = sa.create_engine(f"sqlite:///{folder}/new.db", poolclass=sa.pool.NullPool)
        migrate(engine, "heads")
        return declared(engine), narrow(engine)


def _text(tables: dict[str, dict[str, int]], integers: dict[str, tuple[str, ...]]) -> str:
    from mlflow.version import VERSION

    lines = []
    for name, columns in tables.items():
        line = f'    "{name}": {{'
        for number, (column, length) in enumerate(columns.items(), start=1):
            word = f'"{column}": {length}' + ("," if number < len(columns) else "},")
            if len(line) + len(word) >= 100:
                lines.append(line.rstrip())
                line = " " * 8
            line += word if line.endswith("{") or not line.strip() else f" {word}"
        lines.append(line)
    said = _HEAD.format(version=VERSION) + "\n".join(lines) + "\n}  # fmt: skip\n" + _NARROW
    return (
        said
        + "".join(f"    {name!r}: {columns!r},\n" for name, columns in integers.items())
        + "}\n"
    )


if __name__ == "__main__":
    Path(limits.__file__).write_text(_text(*made()), encoding="utf-8")
