"""Which texts a database cannot hold, and what is left of one that is cut."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from stackctl.courier.fitting import clashes, cut, in_tables, may_cut, why
from stackctl.courier.misfit import Misfit, Shape

BOTH = ["postgres", "mysql"]


@pytest.mark.parametrize(
    ("database", "table", "column", "text", "said"),
    [
        ("postgres", "params", "value", "x" * 8001, "it has 8001 characters, and 8000 fit"),
        ("mysql", "params", "value", "ü" * 8001, "it has 8001 characters, and 8000 fit"),
        ("mysql", "experiments", "name", "x" * 257, "and 256 fit"),
        ("postgres", "tags", "key", "x" * 251, "and 250 fit"),
        ("mysql", "model_version_tags", "value", "ü" * 40_000, "80000 bytes, and 65535 fit"),
        ("postgres", "params", "value", "a\0b", "NUL character"),
        ("postgres", "spans", "content", "a\0b", "NUL character"),
        ("sqlite", "params", "value", "\ud800", "it is no Unicode"),
        ("mysql", "params", "value", "\ud800" * 9000, "it is no Unicode"),
    ],
)
def test_what_does_not_fit_is_told(
    database: str, table: str, column: str, text: str, said: str
) -> None:
    assert said in why(database, table, column, text)


@pytest.mark.parametrize(
    ("database", "table", "column", "text"),
    [
        ("postgres", "params", "value", "🦊" * 8000),
        ("sqlite", "params", "value", "x\0" * 9000),
        ("mysql", "params", "value", "a\0b"),
        ("postgres", "model_version_tags", "value", "x" * 100_000),
        ("mysql", "experiment_tags", "value", "x" * 100_000),
        ("mysql", "spans", "content", "x" * 20_000_000),
    ],
)
def test_what_fits_is_left_alone(database: str, table: str, column: str, text: str) -> None:
    assert why(database, table, column, text) == ""
    assert cut(database, table, column, text) == text


@pytest.mark.parametrize(
    ("database", "table", "column", "text", "left"),
    [
        ("postgres", "params", "value", "x" * 9000, "x" * 8000),
        ("postgres", "params", "value", "ab\0cd", "ab"),
        ("postgres", "params", "value", "x" * 9000 + "\0", "x" * 8000),
        ("mysql", "logged_model_tags", "tag_value", "ü" * 40_000, "ü" * 32_767),
    ],
)
def test_what_is_cut_fits(database: str, table: str, column: str, text: str, left: str) -> None:
    assert cut(database, table, column, text) == left
    assert why(database, table, column, left) == ""


def test_no_name_place_or_document_is_cut() -> None:
    assert may_cut("params", "value")
    assert may_cut("runs", "name")
    for table, column in (
        ("params", "key"), ("experiments", "name"), ("runs", "artifact_uri"),
        ("runs", "run_uuid"), ("assessments", "value"), ("model_versions", "source"),
    ):  # fmt: skip
        assert not may_cut(table, column)


def test_names_that_mysql_takes_for_one_are_told() -> None:
    rows = [
        ("params", {"run_uuid": run, "key": key, "value": key}, f"{run}/{key}")
        for run, key in (("a", "acc"), ("a", "Acc"), ("a", "café"), ("a", "cafe\u0301"),
                         ("a", "x"), ("a", "x "), ("b", "acc"), ("b", "loss"))
    ]  # fmt: skip
    found = list(clashes("mysql", rows))
    assert [misfit.where for misfit in found] == [
        "params.key of a/Acc", "params.key of a/cafe\u0301", "params.key of a/x ",
    ]  # fmt: skip
    assert found[0].why == "MySQL takes it for the one of a/acc"
    assert not list(clashes("postgres", rows))


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """A store with texts of every kind."""
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE params (run_uuid, key, value)")
        db.execute("CREATE TABLE runs (run_uuid, artifact_uri)")
        db.execute("CREATE TABLE theirs (value)")
        db.executemany("INSERT INTO params VALUES ('r', ?, ?)",
                       [("fits", "x" * 8000), ("long", "x" * 9000), ("nul", "x\0y"),
                        ("NUL", None), ("wide", "ü" * 8000)])  # fmt: skip
        db.execute("INSERT INTO runs VALUES ('r', '/old/r')")
        db.execute("INSERT INTO theirs VALUES (?)", ["x" * 90_000])
        yield db


TABLES = {
    "params": Shape(("key", "value"), ("run_uuid", "key")),
    "runs": Shape(("artifact_uri",), ("run_uuid",)),
    "theirs": Shape(("value",), ()),
}


def unmoved(_table: str, _column: str, text: str) -> str:
    return text


def test_a_store_is_asked_for_rows_that_do_not_fit(connection: sqlite3.Connection) -> None:
    found = list(in_tables("postgres", "sqlite", TABLES, connection.execute, unmoved))
    assert found == [
        Misfit("params.value of run_uuid 'r', key 'long'",
               "it has 9000 characters, and 8000 fit", True),
        Misfit("params.value of run_uuid 'r', key 'nul'",
               "it holds a NUL character, which PostgreSQL does not take", True),
    ]  # fmt: skip
    assert not list(in_tables("sqlite", "sqlite", TABLES, connection.execute, unmoved))


def test_a_table_of_an_older_schema_may_have_no_text(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE metrics (step BIGINT)")
    tables = {"metrics": Shape((), (), ("step",))}
    assert not list(in_tables("postgres", "sqlite", tables, connection.execute, unmoved))


def test_names_of_a_store_are_compared_as_mysql_does(connection: sqlite3.Connection) -> None:
    found = list(in_tables("mysql", "sqlite", TABLES, connection.execute, unmoved))
    assert [misfit.where for misfit in found] == [
        "params.value of run_uuid 'r', key 'long'", "params.key of run_uuid 'r', key 'NUL'",
    ]  # fmt: skip


def test_a_place_counts_as_it_will_be(connection: sqlite3.Connection) -> None:
    """Neither is a long path of a laptop in the way, nor is a new one forgotten."""
    connection.execute("UPDATE runs SET artifact_uri = ?", ["/old/" + "x" * 300])

    def moved(table: str, column: str, text: str) -> str:
        return "mlflow-artifacts:/r" if (table, column) == ("runs", "artifact_uri") else text

    def grown(table: str, column: str, text: str) -> str:
        return "/new/" + "y" * 196 if (table, column) == ("runs", "artifact_uri") else text

    (long,) = in_tables("postgres", "sqlite", {"runs": TABLES["runs"]}, connection.execute, unmoved)
    assert (long.where, long.cut) == ("runs.artifact_uri of run_uuid 'r'", False)
    ask = connection.execute
    assert not list(in_tables("postgres", "sqlite", {"runs": TABLES["runs"]}, ask, moved))
    (long,) = in_tables("postgres", "sqlite", {"runs": TABLES["runs"]}, ask, grown)
    assert long.why == "it has 201 characters, and 200 fit"
