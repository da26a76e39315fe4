"""Stores go from any database to any other, and are what they were."""

import io
import json
import os
import runpy
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing
from types import SimpleNamespace
from typing import Any, BinaryIO

import pytest
import sqlalchemy

from stackctl import resources
from stackctl.courier import login, schemas
from stackctl.courier.errors import Refused
from stackctl.courier.frames import End
from stackctl.courier.parts import Part
from stackctl.courier.rows import digest, read_rows, write_rows
from tests.courier import TELLING_ITS_PEAK
from tests.courier.databases.conftest import Stores

SERVERS = ["postgres", "mysql", "mariadb"]


def copy(source: str, target: str, **how: Any) -> End:
    """Copy a store; gives what both sides must be now."""
    with tempfile.TemporaryFile() as stream:
        end = write_rows(source, stream, **how)
        stream.seek(0)
        told = read_rows(target, stream)
    assert told["sent"] == end
    return end


def stream_of(source: str) -> BinaryIO:
    out = io.BytesIO()
    write_rows(source, out)
    out.seek(0)
    return out


def change(uri: str, *script: str) -> str:
    """Change a store on SQLite."""
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection, connection:
        for statement in script:
            connection.execute(statement)
    return uri


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.matrix)])
def test_random_store_survives_every_database(stores: Stores, seed: int) -> None:
    first = stores.random(seed)
    end = copy(first, stores.servers["postgres"])
    assert all(table["rows"] for table in end.values()), end
    assert digest(stores.servers["postgres"]) == end
    for source, target in (("postgres", "mysql"), ("mysql", "mariadb"), ("mariadb", "postgres")):
        assert copy(stores.servers[source], stores.servers[target]) == end
        assert digest(stores.servers[target]) == end
    back = stores.sqlite(f"back-{seed}")
    copy(stores.servers["mysql"], back)
    assert digest(back) == end
    assert table_dump(back) == table_dump(first)


def table_dump(uri: str) -> dict[str, list[str]]:
    """Every value of a store on SQLite, by sqlite3 alone; documents as what they mean."""
    found = {}
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            " AND name NOT IN ('job_locks', 'scheduler_leases')"
        ).fetchall()
        for (table,) in tables:
            types = connection.execute(f"PRAGMA table_xinfo({table})").fetchall()
            documents = [column[2] == "JSON" for column in types]
            found[table] = sorted(
                repr(
                    tuple(
                        sorted_document(v) if document and v is not None else v
                        for document, v in zip(documents, row, strict=True)
                    )
                )
                for row in connection.execute(f"SELECT * FROM {table}")
            )
    return found


def sorted_document(value: str | float) -> str:
    document = json.loads(value) if isinstance(value, str) else value
    # 1.0 and 1 are one number to MySQL.
    return json.dumps(document, sort_keys=True).replace(".0", "")


@pytest.fixture(scope="session")
def moved(stores: Stores) -> tuple[dict[str, str], list[dict[str, Any]]]:
    """What a client filled, in every database; and what a client reads there."""
    source = f"sqlite:///{stores.folder}/client.db"
    places = {"source": source, "back": stores.sqlite("client-back")}
    for name in SERVERS:
        copy(source, stores.servers[name])
        places[name] = stores.servers[name]
    copy(stores.servers["mysql"], places["back"])
    return places, stores.ask(read=list(places.values()))


def test_client_reads_the_same_everywhere(moved: tuple[dict[str, str], list[Any]]) -> None:
    places, (before, *after) = moved
    assert len(before["runs"]) == 2
    assert [len(history) for history in before["histories"]].count(905) == 1
    assert all(before.values())
    for name, found in zip(list(places)[1:], after, strict=True):
        assert found == before, name


@pytest.mark.parametrize("name", SERVERS)
def test_new_rows_are_numbered_after_the_old(stores: Stores, name: str) -> None:
    source = stores.sqlite(f"numbers-{name}")
    insert = "INSERT INTO experiments ({}name, workspace) VALUES ({}, 'default')"
    for kept in ([0, 41], [], [0]):
        change(source, "DELETE FROM experiments")
        for number in kept:
            change(source, insert.format("experiment_id, ", f"{number}, 'e{number}'"))
        copy(source, stores.servers[name])
        stores.query(name, insert.format("", "'new'"))
        found = stores.query(name, "SELECT experiment_id FROM experiments ORDER BY 1")
        (*old, new) = (number for (number,) in found)
        assert old == kept
        assert new > max(kept, default=0)


@pytest.mark.parametrize("name", SERVERS)
def test_snapshot_is_of_one_moment(stores: Stores, name: str) -> None:
    """A run that comes while rows are read is not there without its experiment."""
    copy(stores.random(0), stores.servers[name])
    before = digest(stores.servers[name])

    class Meanwhile(io.BytesIO):
        come = False

        def write(self, data: Any) -> int:
            if b'"table": "runs"' in data and not self.come:
                self.come = True
                stores.query(name, "UPDATE tags SET value = 'late'")
                stores.query(name, "DELETE FROM trace_tags")
            return super().write(data)

    out = Meanwhile()
    assert write_rows(stores.servers[name], out) == before
    assert out.come
    assert digest(stores.servers[name]) != before


@pytest.mark.parametrize("name", SERVERS)
def test_minus_zero_is_zero_as_it_is_on_sqlite(stores: Stores, name: str) -> None:
    copy(change(stores.sqlite("zero"), EXPERIMENT, RUN), stores.servers[name])
    stores.query(
        name,
        f"INSERT INTO metrics ({'`key`' if name != 'postgres' else 'key'}, value, timestamp, step,"
        " is_nan, run_uuid) VALUES ('k', -0e0, 1, 1, false, 'r')",
    )
    target = stores.sqlite("zero-copy")
    assert copy(stores.servers[name], target) == digest(target) == digest(stores.servers[name])


EXPERIMENT = "INSERT INTO experiments (experiment_id, name, workspace) VALUES (1, 'e', 'default')"
RUN = "INSERT INTO runs (run_uuid, experiment_id, lifecycle_stage) VALUES ('r', 1, 'active')"
PARAM = "INSERT INTO params (key, value, run_uuid) VALUES ({}, 'r')"
MODEL = (
    "INSERT INTO logged_models (model_id, experiment_id, name, artifact_location, status,"
    " creation_timestamp_ms, last_updated_timestamp_ms) VALUES ('m', 1, 'n', 'l', 1, 1, 1)",
    "INSERT INTO logged_model_metrics (model_id, metric_name, metric_timestamp_ms, metric_step,"
    " metric_value, experiment_id, run_id) VALUES ('m', 'k', 1, 1, {}, 1, 'r')",
)
TOO_LONG = ("params.value", [EXPERIMENT, RUN, PARAM.format(f"'k', '{'x' * 8001}'")])
BLANKS = ("params.value", [EXPERIMENT, RUN, PARAM.format(f"'k', '{'x' * 8000}  '")])
TOO_LARGE = ("experiments.experiment_id", [EXPERIMENT.replace("1,", "4294967296,")])
BAD_RUN = ("runs", [RUN])
BAD_STATE = ("runs", ["PRAGMA ignore_check_constraints = ON", EXPERIMENT,
                      RUN.replace("active", "gone")])  # fmt: skip
NUL = ("params.value", [EXPERIMENT, RUN, PARAM.format("'k', 'a' || char(0) || 'b'")])
INFINITE = ("logged_model_metrics.metric_value", [EXPERIMENT, RUN, MODEL[0],
                                                  MODEL[1].format("9e999")])  # fmt: skip
SAME = ("params.key/run_uuid", [EXPERIMENT, RUN, PARAM.format("'acc', 'a'"),
                                PARAM.format("'Acc', 'b'")])  # fmt: skip
SINGLE = ("budget_policies.budget_amount", [
    "INSERT INTO budget_policies VALUES ('b', 'u', 1234567.891, 'd', 1, 's', 'a', NULL, 1, NULL, 1,"
    " 'default', NULL)"
])  # fmt: skip
BEYOND_SINGLE = (SINGLE[0], [SINGLE[1][0].replace("1234567.891", "1e39")])
NOT_JSON = ("mcp_servers.icons", [
    "INSERT INTO mcp_servers (workspace, name, icons, created_at, last_updated_at)"
    " VALUES ('default', 'n', '[NaN]', 1, 1)"
])  # fmt: skip


EVERYWHERE = (TOO_LONG, BLANKS, TOO_LARGE, BAD_RUN, BAD_STATE, NOT_JSON)
MYSQL = (*EVERYWHERE, INFINITE, SAME, SINGLE, BEYOND_SINGLE)


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("postgres", (*EVERYWHERE, NUL)),
        ("mysql", MYSQL),
        pytest.param("mariadb", MYSQL, marks=pytest.mark.matrix),
    ],
)
def test_what_does_not_fit_is_refused_by_name_and_changes_nothing(
    stores: Stores, name: str, broken: tuple[tuple[str, list[str]], ...]
) -> None:
    uri = stores.servers[name]
    before = digest(uri)
    for place, script in broken:
        source = change(stores.sqlite("broken"), *script)
        with pytest.raises(Refused) as told:
            read_rows(uri, stream_of(source))
        assert place in str(told.value)
        assert len(str(told.value)) < 500
    assert digest(uri) == before


@pytest.mark.parametrize("name", SERVERS)
def test_stream_cut_short_changes_nothing(stores: Stores, name: str) -> None:
    copy(stores.random(1), stores.servers[name])
    before = digest(stores.servers[name])
    whole = stream_of(f"sqlite:///{stores.folder}/client.db").read()
    with pytest.raises(Refused, match="cut short"):
        read_rows(stores.servers[name], io.BytesIO(whole[: whole.rindex(b'{"end"')]))
    assert digest(stores.servers[name]) == before


def test_row_larger_than_a_packet_is_refused(stores: Stores) -> None:
    """What MySQL takes at once is the server's setting; a connection lost would say nothing."""
    (before,) = stores.query("mariadb", "SELECT @@global.max_allowed_packet")
    stores.query("mariadb", "SET GLOBAL max_allowed_packet = 1048576")
    try:
        source = change(stores.sqlite("packet"), EXPERIMENT, "INSERT INTO experiment_tags VALUES"
                        f" ('k', '{'x' * 2**21}', 1)")  # fmt: skip
        with pytest.raises(Refused, match=r"experiment_tags\.value: .*max_allowed_packet"):
            read_rows(stores.servers["mariadb"], stream_of(source))
    finally:
        stores.query("mariadb", f"SET GLOBAL max_allowed_packet = {before[0]}")


@pytest.mark.parametrize("name", ["postgres", "mysql"])
def test_memory_does_not_grow_with_what_a_server_holds(stores: Stores, name: str) -> None:
    source = stores.sqlite("heavy")
    with closing(sqlite3.connect(source.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute(EXPERIMENT)
        connection.executemany(
            "INSERT INTO experiment_tags (key, value, experiment_id) VALUES (?, ?, 1)",
            ((str(n), "x\n" * 500_000) for n in range(32)),
        )
    copy(source, stores.servers[name])
    done = subprocess.run(
        [sys.executable, "-c", TELLING_ITS_PEAK, "write"], input=b"{}\n", check=False,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env={**os.environ, "MLFLOW_BACKEND_STORE_URI": stores.servers[name]},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert int(done.stderr) < 110


def test_tables_of_the_login_are_a_part_of_their_own(stores: Stores) -> None:
    """Whichever they are in this version of MLflow."""
    uri = f"sqlite:///{stores.folder}/login.db"
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    tracking = set(digest(f"sqlite:///{stores.folder}/client.db"))
    others = {"alembic_version", "alembic_version_auth", "job_locks", "scheduler_leases"}
    login = {name for (name,) in found if not name.startswith("sqlite_")} - tracking - others
    assert "users" in login
    assert set(digest(uri, part=Part.LOGIN)) == login
    assert set(digest(uri)) == tracking


def test_address_need_not_name_a_driver(stores: Stores) -> None:
    for name in SERVERS:
        uri = stores.servers[name]
        short = f"{uri.split('+')[0]}{uri[uri.index(':') :]}"
        assert "metrics" in digest(short)


def test_wrong_password_is_told_without_it(stores: Stores) -> None:
    for name in SERVERS:
        uri = stores.servers[name].replace("p%40s", "geheim")
        done = subprocess.run(
            [sys.executable, "-m", "stackctl.courier.rows", "digest"], input=b"{}\n",
            capture_output=True, check=False, env={**os.environ, "MLFLOW_BACKEND_STORE_URI": uri},
        )  # fmt: skip
        assert (done.returncode, done.stdout) == (3, b"")
        assert done.stderr.count(b"\n") == 1, done.stderr
        assert b"geheim" not in done.stderr


@pytest.mark.parametrize("made_by", ["a courier", "a server"])
@pytest.mark.parametrize("kind", ["mysql", "mariadb"])
def test_the_login_s_tables_are_made(stores: Stores, kind: str, made_by: str) -> None:
    """MLflow's own migration (3.17.2) waits for itself there, and names two constraints alike."""
    from mlflow.server.auth.db import utils

    database = f"login_by_{made_by.split()[1]}"
    stores.query(kind, f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
    url = sqlalchemy.make_url(stores.servers[kind]).set(database=database)
    engine = sqlalchemy.create_engine(url)
    try:
        if made_by == "a courier":
            login.migrate(engine, "head")
        else:
            folder = resources.folder("templates") / "entrypoints"
            made = SimpleNamespace(
                migrate=utils.migrate, _get_alembic_config=utils._get_alembic_config
            )
            runpy.run_path(str(folder / "mlflow_login.py"))["migrate_in_mysql"](made)
            made.migrate_if_needed(engine, "head")
            # Which then has nothing to do.
            made.migrate = None
            made.migrate_if_needed(engine, "head")
        assert schemas.is_newest(engine, schemas.LOGIN)
        tables = sqlalchemy.inspect(engine).get_table_names()
        assert {"users", "roles", "experiment_permissions"} <= set(tables)
    finally:
        engine.dispose()
        stores.query(kind, f"DROP DATABASE {database}")
