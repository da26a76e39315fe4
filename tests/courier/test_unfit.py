"""Which numbers and documents no other database takes, and what is broken in a file of SQLite."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from stackctl.courier.misfit import Misfit, Shape
from stackctl.courier.unfit import broken, in_table

MODELS = Shape(("name",), ("name", "version"), ("version", "created"))
METRICS = Shape(("key",), ("key",), ("step",), ("value",))
BUDGETS = Shape((), ("id",), (), ("budget_amount",))
SERVERS = Shape((), ("name",), (), (), ("icons",))


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:")) as db:
        db.execute("CREATE TABLE model_versions (name VARCHAR, version INTEGER, created BIGINT)")
        db.execute("CREATE TABLE metrics (key VARCHAR, step BIGINT, value FLOAT)")
        db.execute("CREATE TABLE budget_policies (id VARCHAR, budget_amount FLOAT)")
        db.execute("CREATE TABLE mcp_servers (name VARCHAR, icons JSON)")
        yield db


@pytest.mark.parametrize(
    ("table", "shape", "row", "refused_by", "said"),
    [
        ("model_versions", MODELS, ("m", 2**31, 2**40), ("postgres", "mysql"),
         "version of name 'm', version '2147483648': it is 2147483648, and only -2147483648 to"),
        ("model_versions", MODELS, ("m", 2**31 - 1, 2**63 - 1), (), ""),
        ("model_versions", MODELS, ("m", -(2**31), -(2**63)), (), ""),
        ("model_versions", MODELS, ("m", -(2**63), 0), ("postgres", "mysql"), "and only"),
        ("model_versions", MODELS, ("m", "two", 1), ("sqlite", "postgres", "mysql"),
         "it is text, which its column is not"),
        ("model_versions", MODELS, ("m", 1.5, 1), ("sqlite", "postgres", "mysql"),
         "it is 1.5, which is no integer"),
        ("model_versions", MODELS, (b"m", 1, 1), ("sqlite", "postgres", "mysql"),
         "it is a blob, which its column is not"),
        ("metrics", METRICS, ("k", 0, float("inf")), ("mysql",), "it is inf, which is no number"),
        ("metrics", METRICS, ("k", 0, -float("inf")), ("mysql",), "it is -inf, which is no number"),
        ("metrics", METRICS, ("k", 0, 1.7976931348623157e308), (), ""),
        ("metrics", METRICS, ("k", None, None), (), ""),
        ("budget_policies", BUDGETS, ("b", 1234567.891), ("mysql",), "of which it keeps less"),
        ("budget_policies", BUDGETS, ("b", 1e39), ("mysql",), "of which it keeps less"),
        ("budget_policies", BUDGETS, ("b", 0.3), (), ""),
        ("mcp_servers", SERVERS, ("s", "[NaN]"), ("postgres", "mysql"), "it is no JSON"),
        ("mcp_servers", SERVERS, ("s", '["a"]'), (), ""),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told_where_it_does_not(
    connection: sqlite3.Connection,
    table: str, shape: Shape, row: tuple[object, ...], refused_by: tuple[str, ...], said: str,
) -> None:  # fmt: skip
    connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)
    for database in ("sqlite", "postgres", "mysql"):
        found = list(in_table(database, "sqlite", table, shape, connection.execute))
        assert len(found) == (database in refused_by), (database, found)
        for misfit in found:
            assert said in f"{misfit.where}: {misfit.why}"
            assert not misfit.cut


def test_experiments_of_a_file_are_numbered_anew(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE runs (id VARCHAR, experiment_id INTEGER)")
    connection.execute("INSERT INTO runs VALUES ('r', 123456789012345678)")
    shape = Shape((), ("id",), ("experiment_id",))
    assert not list(in_table("postgres", "sqlite", "runs", shape, connection.execute))


@pytest.mark.parametrize("database", ["sqlite", "mysql"])
def test_a_server_may_have_numbers_that_are_none(database: str) -> None:
    """PostgreSQL has all of IEEE 754."""
    asked = []

    def query(statement: str) -> list[tuple[object, ...]]:
        asked.append(statement)
        return [("k", float("nan"))]

    shape = Shape(("key",), ("key",), ("step",), ("value",))
    assert list(in_table(database, "postgres", "metrics", shape, query)) == [
        Misfit("metrics.value of key 'k'", "it is nan, which is no number there")
    ]
    assert not list(in_table("postgres", "postgres", "metrics", shape, query))
    assert len(asked) == 1


def test_what_is_broken_in_a_file_is_told(connection: sqlite3.Connection) -> None:
    assert not list(broken("sqlite", connection.execute))
    connection.execute("CREATE TABLE runs (id VARCHAR PRIMARY KEY CHECK (id <> 'x'))")
    connection.execute("CREATE TABLE params (run VARCHAR REFERENCES runs (id))")
    connection.execute("INSERT INTO params VALUES ('gone')")
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.execute("INSERT INTO runs VALUES ('x')")
    connection.execute("PRAGMA ignore_check_constraints = OFF")
    state, lost = broken("sqlite", connection.execute)
    assert "CHECK constraint failed in runs" in state.why
    assert lost == Misfit("params, row 1", "what it belongs to is not in runs")
    assert not list(broken("mysql", connection.execute))
