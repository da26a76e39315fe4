"""Versions of MLflow's two schemas, as the files of its migrations say.

To import MLflow takes seconds, and most often there is nothing to migrate.
"""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import sqlalchemy as sa

# Of runs and models, and of the login; and the table in which a database keeps its version.
TRACKING = ("store/db_migrations/versions", "alembic_version")
LOGIN = ("server/auth/db/migrations/versions", "alembic_version_auth")
_LINE = re.compile(r"^(down_revision|revision)\b[^=\n]*=(.*)$", re.MULTILINE)
_NAME = re.compile(r"[\"'](\w+)[\"']")


def revision(connection: sa.Connection, schema: tuple[str, str]) -> str:
    """The version that a database has; "" where it has none."""
    _, table = schema
    if not sa.inspect(connection).has_table(table):
        return ""
    return str(connection.scalar(sa.text(f"SELECT version_num FROM {table}")) or "")  # noqa: S608


def is_newest(made: sa.Engine, schema: tuple[str, str]) -> bool:
    """This MLflow has nothing to migrate in a database."""
    with made.connect() as connection:
        return newest(schema) == {revision(connection, schema)}


@cache
def known(schema: tuple[str, str]) -> frozenset[str]:
    """Every version that this MLflow knows."""
    return frozenset(name for name, _ in _migrations(schema))


@cache
def newest(schema: tuple[str, str]) -> frozenset[str]:
    """Those that no other follows."""
    followed = {name for _, before in _migrations(schema) for name in before}
    return known(schema) - followed


def _migrations(schema: tuple[str, str]) -> list[tuple[str, list[str]]]:
    folder, _ = schema
    spec = find_spec("mlflow")
    place = Path(str(spec and spec.origin)).parent / folder
    found = []
    for path in place.glob("*.py"):
        named = {word: _NAME.findall(rest) for word, rest in _LINE.findall(path.read_text("utf-8"))}
        found += [(name, named.get("down_revision", [])) for name in named.get("revision", [])]
    return found
