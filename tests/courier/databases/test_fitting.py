"""What is said not to fit is what a real database refuses, and what is cut fits."""

import io
import sqlite3
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy

from stackctl.courier import database, fitting
from stackctl.courier.errors import Refused
from stackctl.courier.limits import CHARACTERS, NARROW
from stackctl.courier.rows import digest
from stackctl.courier.unfit import SINGLE
from tests.courier.databases.conftest import Stores
from tests.courier.databases.test_databases import EVERYWHERE, MYSQL, NUL, TOO_LARGE, change, copy
from tests.courier.limits import declared, narrow

SERVERS = {"postgres": "postgres", "mysql": "mysql", "mariadb": "mysql"}
NAMES = ["postgres", "mysql", pytest.param("mariadb", marks=pytest.mark.matrix)]


def asked(uri: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> list[list[Any]]:
    """What the courier says of a store that is to go to a kind of database."""
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", uri)
    job = {"database": kind, "relocations": []}
    return list(database.misfits(job, io.BytesIO(), io.BytesIO())["misfits"])


def changed(stores: Stores, *statements: tuple[str, list[str]]) -> str:
    """A store on SQLite with something in every table, and these changes."""
    uri = stores.random(7)
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as db, db:
        for statement, values in statements:
            db.execute(statement, values)
    return uri


@pytest.mark.parametrize("name", ["sqlite", *SERVERS])
def test_lengths_are_those_of_the_schema(stores: Stores, name: str) -> None:
    uri = stores.sqlite("lengths") if name == "sqlite" else stores.servers[name]
    engine = sqlalchemy.create_engine(uri)
    assert declared(engine) == CHARACTERS, "run: python -m tests.courier.limits"
    assert narrow(engine) == NARROW, "run: python -m tests.courier.limits"
    engine.dispose()


@pytest.mark.parametrize("name", ["mysql", "mariadb"])
def test_texts_without_a_length_are_as_wide_as_is_said(stores: Stores, name: str) -> None:
    rows = stores.query(
        name,
        "SELECT table_name, column_name, character_octet_length FROM information_schema.columns"
        " WHERE table_schema = database() AND data_type IN ('text', 'mediumtext', 'longtext')"
        " AND NOT (data_type = 'longtext' AND collation_name = 'utf8mb4_bin')",
    )
    assert len(rows) > 20
    for table, column, most in rows:
        assert fitting.most_bytes(table, column) == most, (table, column)


@pytest.mark.parametrize("name", ["mysql", "mariadb"])
def test_floats_of_single_precision_are_those_that_are_said(stores: Stores, name: str) -> None:
    rows = stores.query(
        name,
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = database() AND data_type = 'float'",
    )
    assert {(str(table), str(column)) for table, column in rows} == SINGLE


@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("postgres", (*EVERYWHERE, NUL)),
        ("mysql", MYSQL),
        pytest.param("mariadb", MYSQL, marks=pytest.mark.matrix),
    ],
)
def test_whatever_is_refused_is_told_before(
    stores: Stores,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    cases: tuple[tuple[str, list[str]], ...],
) -> None:
    """But the numbers of experiments: they are made anew."""
    for place, script in cases:
        source = change(stores.sqlite("refused"), *script)
        if (place, script) == TOO_LARGE:
            continue
        assert asked(source, SERVERS[name], monkeypatch), place


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("table", "column", "text"),
    [
        ("params", "value", "x" * 8001),
        ("params", "value", "a\0b"),
        ("tags", "key", "k" * 251),
        ("model_version_tags", "value", "ü" * 40_000),
        ("params", "value", "🦊" * 8000),
    ],
    ids=["long", "nul", "key", "wide", "fits"],
)
def test_what_is_told_is_what_is_refused(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, name: str, table: str, column: str, text: str
) -> None:
    one = f"UPDATE {table} SET {column} = ? WHERE rowid = (SELECT min(rowid) FROM {table})"
    uri, kind = changed(stores, (one, [text])), SERVERS[name]
    found = asked(uri, kind, monkeypatch)
    if not found:
        copy(uri, stores.servers[name])
        return
    ((where, _, mendable),) = found
    assert where.startswith(f"{table}.{column} of ")
    with pytest.raises(Refused, match=table):
        copy(uri, stores.servers[name])
    assert mendable is (column == "value")
    if mendable:
        assert copy(uri, stores.servers[name], cut_for=kind) == digest(stores.servers[name])


@pytest.mark.parametrize("name", NAMES)
def test_a_server_is_asked_like_a_file(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """One has what fits in every other; a text of PostgreSQL may be too wide for MySQL."""
    copy(stores.random(7), stores.servers[name])
    for kind in ("sqlite", "postgres", "mysql"):
        assert asked(stores.servers[name], kind, monkeypatch) == []
    if name == "postgres":
        wide = "UPDATE model_version_tags SET value = repeat('x', 70000)"
        stores.query(name, wide)
        assert asked(stores.servers[name], "mysql", monkeypatch)
    else:
        stores.query(name, "UPDATE params SET value = concat('a', char(0))")
        assert asked(stores.servers[name], "postgres", monkeypatch)


@pytest.mark.parametrize(
    ("name", "one", "other"),
    [
        ("mysql", "acc", "Acc"),
        ("mysql", "é", "e\u0301"),
        ("mysql", "ß", "ss"),
        ("mysql", "ﬁ", "fi"),
        pytest.param("mariadb", "café", "cafe", marks=pytest.mark.matrix),
        pytest.param("mariadb", "a", "a ", marks=pytest.mark.matrix),
    ],
)
def test_two_names_that_are_one_for_it_are_told(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, name: str, one: str, other: str
) -> None:
    run = "(SELECT min(run_uuid) FROM runs)"
    insert = f"INSERT INTO params (key, value, run_uuid) VALUES (?, '1', {run})"
    uri = changed(stores, (insert, [one]), (insert, [other]))
    assert len(asked(uri, "mysql", monkeypatch)) == 1
    with pytest.raises(Refused, match="params"):
        copy(uri, stores.servers[name])
