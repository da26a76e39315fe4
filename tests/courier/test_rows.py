"""Streams of rows between SQLite databases, and the words that refuse one."""

import io
import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from stackctl.courier.errors import CourierError, DatabaseFailed, Refused
from stackctl.courier.frames import End, read_frames
from stackctl.courier.parts import Part
from stackctl.courier.rows import digest, read_rows, write_rows
from tests.courier import TELLING_ITS_PEAK
from tests.courier.random_store import HOSTILE

# Types and names as MLflow's migrations give them to SQLite.
SCHEMA = """
CREATE TABLE experiments (
  experiment_id INTEGER PRIMARY KEY, name VARCHAR(256) NOT NULL UNIQUE,
  artifact_location VARCHAR(256));
CREATE TABLE runs (
  run_uuid VARCHAR(32) PRIMARY KEY, artifact_uri VARCHAR(200),
  experiment_id INTEGER REFERENCES experiments (experiment_id));
CREATE TABLE metrics (
  key VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT NOT NULL, step BIGINT NOT NULL,
  is_nan BOOLEAN NOT NULL CHECK (is_nan IN (0, 1)),
  run_uuid VARCHAR(32) NOT NULL REFERENCES runs (run_uuid),
  PRIMARY KEY (key, timestamp, step, run_uuid, value, is_nan));
CREATE TABLE params (
  key VARCHAR(250) NOT NULL, value VARCHAR(8000), run_uuid VARCHAR(32) REFERENCES runs (run_uuid),
  PRIMARY KEY (key, run_uuid));
CREATE TABLE trace_tags (request_id VARCHAR(50), key VARCHAR(250), value VARCHAR(8000),
  PRIMARY KEY (request_id, key));
CREATE TABLE spans (id INTEGER PRIMARY KEY, content TEXT, body BLOB, doc JSON, day DATE,
  length BIGINT GENERATED ALWAYS AS (length(content)) STORED);
CREATE TABLE jobs (id VARCHAR(36) PRIMARY KEY);
CREATE TABLE job_locks (lock_key VARCHAR(255) PRIMARY KEY,
  job_id VARCHAR(36) REFERENCES jobs (id) ON DELETE CASCADE);
CREATE TABLE scheduler_leases (lease_key VARCHAR(255) PRIMARY KEY);
CREATE TABLE users (id INTEGER PRIMARY KEY, username VARCHAR(255) UNIQUE);
CREATE TABLE alembic_version (version_num VARCHAR(32) PRIMARY KEY);
CREATE TABLE alembic_version_auth (version_num VARCHAR(32) PRIMARY KEY);
"""


class Store:
    """A SQLite database with that schema."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.uri = f"sqlite:///{quote(str(path))}"
        self.run(SCHEMA)

    def run(self, script: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.executescript(script)

    def insert(self, table: str, *rows: tuple[Any, ...]) -> None:
        with closing(sqlite3.connect(self.path)) as connection, connection:
            places = ", ".join("?" * len(rows[0]))
            connection.executemany(f"INSERT INTO {table} VALUES ({places})", rows)

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            found = connection.execute(f"SELECT * FROM {table}").fetchall()
        return sorted(found, key=repr)

    def with_a_run(self) -> None:
        self.insert("experiments", (0, "Default", "/data/mlruns/0"))
        self.insert("runs", ("r", "/data/mlruns/0/r/artifacts", 0))

    def stream(self, *relocations: tuple[str, str], part: Part = Part.TRACKING) -> io.BytesIO:
        out = io.BytesIO()
        write_rows(self.uri, out, relocations, part)
        out.seek(0)
        return out

    def end(self) -> End:
        *_, end = read_frames(self.stream())
        assert isinstance(end, dict)
        return end


@pytest.fixture
def source(tmp_path: Path) -> Store:
    return Store(tmp_path / "source #1? ü.db")


@pytest.fixture
def target(tmp_path: Path) -> Store:
    """A fresh store has rows of its own; one that refuses still has them."""
    store = Store(tmp_path / "target.db")
    store.insert("experiments", (0, "Default", "elsewhere/0"), (7, "kept", None))
    store.insert("params", ("own", "", None))
    store.insert("jobs", ("job",))
    store.insert("job_locks", ("lock", "job"))
    store.insert("scheduler_leases", ("lease",))
    store.insert("users", (1, "admin"))
    return store


def refused(target: Store, stream: io.BytesIO) -> str:
    """Why a stream is refused by a store, which is then as it was."""
    before = target.path.read_bytes()
    with pytest.raises(Refused) as told:
        read_rows(target.uri, stream)
    assert target.path.read_bytes() == before
    return str(told.value)


def edited(stream: io.BytesIO, table: str, **changes: Any) -> io.BytesIO:
    """The stream with other headers of a table's frames."""
    out = io.BytesIO()
    while line := stream.readline():
        header = json.loads(line)
        data = stream.read(header.get("bytes", 0))
        if header.get("table") == table:
            header |= changes
        out.write(json.dumps(header).encode() + b"\n" + data)
    out.seek(0)
    return out


FLOATS = [0.1 + 0.2, 5e-324, 1.7976931348623157e308, -1.5, 1e16, 1e-5, 123456789012345680.0, 3.0,
          math.inf, -math.inf]  # fmt: skip


class TestCopy:
    def test_hostile_values_arrive_as_they_were(self, source: Store, target: Store) -> None:
        source.with_a_run()
        texts = [*HOSTILE, "\0 NUL \0", "x" * 8000, "ü" * 8000]
        source.insert("params", *((f"{n} {text[:9]}", text, "r") for n, text in enumerate(texts)))
        source.insert("metrics", *(("m", x, n, 2**63 - 1, 0, "r") for n, x in enumerate(FLOATS)))
        source.insert("metrics", ("nan", 0, -(2**63), -1, 1, "r"))
        documents = [None, "null", '{"b": 1, "a": "\\n"}', "1.5", "7", '"é\\t"', "[]"]
        source.run("INSERT INTO spans (id, content) VALUES (0, '')")
        source.run("INSERT INTO spans (id, body, doc, day) VALUES (1, x'00ff5c0a', '1.0', NULL)")
        with closing(sqlite3.connect(source.path)) as connection, connection:
            connection.executemany(
                "INSERT INTO spans (content, body, doc, day) VALUES (?, ?, ?, '2026-11-21')",
                [("\\N", b"", document) for document in documents],
            )

        told = read_rows(target.uri, source.stream())

        for table in ("experiments", "runs", "params", "metrics", "spans", "trace_tags"):
            assert target.rows(table) == source.rows(table), table
            assert told["loaded"][table] == len(source.rows(table))
        assert told["sent"] == digest(target.uri)

    def test_what_belongs_to_a_server_alone_stays_where_it_is(
        self, source: Store, target: Store
    ) -> None:
        source.insert("jobs", ("other",))
        source.insert("job_locks", ("other lock", "other"))
        source.insert("scheduler_leases", ("other lease",))
        source.insert("users", (1, "somebody"))
        source.insert("alembic_version", ("a",))
        stream = source.stream()
        assert {frame.table for frame in read_frames(stream) if not isinstance(frame, dict)} == {
            "experiments", "runs", "metrics", "params", "trace_tags", "spans", "jobs"
        }  # fmt: skip
        stream.seek(0)
        read_rows(target.uri, stream)
        assert target.rows("jobs") == [("other",)]
        assert target.rows("job_locks") == []  # of a job that is gone
        assert target.rows("scheduler_leases") == [("lease",)]
        assert target.rows("users") == [(1, "admin")]

    def test_accounts_are_moved_by_themselves(self, source: Store, target: Store) -> None:
        source.insert("users", (1, "root"), (5, "somebody"))
        source.with_a_run()
        told = read_rows(target.uri, source.stream(part=Part.LOGIN), part=Part.LOGIN)
        assert target.rows("users") == [(1, "root"), (5, "somebody")]
        assert target.rows("runs") == []
        assert told["sent"] == digest(target.uri, part=Part.LOGIN)

    def test_rows_are_sent_in_pieces_that_fit_into_memory(self, source: Store) -> None:
        source.with_a_run()
        source.insert("metrics", *(("m", n, n, n, 0, "r") for n in range(20_000)))
        source.insert("params", *((str(n), "x" * 700_000, "r") for n in range(5)))
        sizes: dict[str, list[int]] = {"metrics": [], "params": []}
        for frame in read_frames(source.stream()):
            if not isinstance(frame, dict) and frame.table in sizes:
                sizes[frame.table].append(len(frame.data))
        assert len(sizes["params"]) == 3
        assert len(sizes["metrics"]) > 2
        assert max(sizes["metrics"]) < 2**20 < max(sizes["params"]) < 2**21

    def test_source_is_only_read(self, source: Store) -> None:
        source.with_a_run()
        before = source.path.read_bytes()
        source.path.chmod(0o400)
        source.stream()
        assert source.path.read_bytes() == before
        assert list(source.path.parent.iterdir()) == [source.path]

    def test_rows_that_come_meanwhile_are_not_half_there(self, source: Store) -> None:
        """The experiment was read before, so its run must not be."""
        source.run("PRAGMA journal_mode = WAL")
        source.with_a_run()

        class Meanwhile(io.BytesIO):
            def write(self, data: Any) -> int:
                if b'"table": "experiments"' in data:
                    source.insert("experiments", (1, "late", None))
                    source.insert("runs", ("late", None, 1))
                return super().write(data)

        out = Meanwhile()
        write_rows(source.uri, out)
        assert len(source.rows("runs")) == 2
        assert b"late" not in out.getvalue()


class TestRelocation:
    def test_locations_move_and_nothing_else_does(self, source: Store, target: Store) -> None:
        source.insert("experiments", (1, "/data/mlruns", "/data/mlruns/1"),
                      (2, "b", "/data/mlruns-old/2"), (3, "c", "/data/mlruns"),
                      (4, "d", "/data/mlruns/special/4"), (5, "e", None), (6, "f", ""))  # fmt: skip
        source.insert("runs", ("r", "/data/mlruns/1/r\t\\ü/artifacts", 1))
        source.insert("params", ("p", "/data/mlruns/1", "r"))
        source.insert("trace_tags", ("t", "mlflow.artifactLocation", "/data/mlruns/1/traces/t"),
                      ("t", "mine", "/data/mlruns/1"))  # fmt: skip
        pairs = (("/data/mlruns/", "s3://b/artifacts"), ("/data/mlruns/special", "s3://c/"))
        told = read_rows(target.uri, source.stream(*pairs))
        assert [row[2] for row in target.rows("experiments")] == [
            "s3://b/artifacts/1", "/data/mlruns-old/2", "s3://b/artifacts", "s3://c/4", None, ""
        ]  # fmt: skip
        assert target.rows("experiments")[0][1] == "/data/mlruns"
        assert target.rows("runs") == [("r", "s3://b/artifacts/1/r\t\\ü/artifacts", 1)]
        assert target.rows("params") == source.rows("params")
        assert target.rows("trace_tags") == [
            ("t", "mine", "/data/mlruns/1"),
            ("t", "mlflow.artifactLocation", "s3://b/artifacts/1/traces/t"),
        ]
        assert told["sent"] == digest(target.uri) == digest(source.uri, pairs)
        assert told["sent"] != digest(source.uri)

    @pytest.mark.parametrize(
        ("pair", "location", "moved"),
        [
            (("mlflow-artifacts:/", "/d"), "mlflow-artifacts:/1/r", "/d/1/r"),
            (("mlflow-artifacts:/", "/d"), "mlflow-artifacts://host:1/1", None),
            (("mlflow-artifacts://host:1", "mlflow-artifacts:/"), "mlflow-artifacts://host:1/1",
             "mlflow-artifacts:/1"),
            (("mlflow-artifacts://host:1", "/d"), "mlflow-artifacts://host:12/1", None),
            (("s3://b", "s3://c/x"), "s3://b?region=1", "s3://c/x?region=1"),
            (("s3://b", "s3://c"), "s3://bucket/1", None),
            (("/a\\b", "C:\\d"), "/a\\b/1", "C:\\d/1"),
        ],
    )  # fmt: skip
    def test_prefix_ends_where_a_path_does(
        self, source: Store, target: Store, pair: tuple[str, str], location: str, moved: str | None
    ) -> None:
        source.insert("experiments", (1, "e", location))
        read_rows(target.uri, source.stream(pair))
        assert target.rows("experiments") == [(1, "e", moved or location)]

    @pytest.mark.parametrize(
        "pairs", [[("", "/x")], [("/x", "/")], [("/x",)], ["ab"], [("/x", "/a"), ("/x/", "/b")]]
    )
    def test_pairs_without_a_meaning_are_refused(self, source: Store, pairs: Any) -> None:
        with pytest.raises(Refused):
            source.stream(*pairs)


class TestRefusal:
    @pytest.mark.parametrize("kept", [0, 1, 50, 0.5, -1])
    def test_stream_cut_short(self, source: Store, target: Store, kept: float) -> None:
        source.with_a_run()
        whole = source.stream().getvalue()
        size = int(len(whole) * kept) if isinstance(kept, float) else kept
        assert "cut short" in refused(target, io.BytesIO(whole[:size]))

    def test_stream_without_its_last_frame(self, source: Store, target: Store) -> None:
        whole = source.stream().getvalue()
        cut = whole[: whole.rindex(b'{"end"')]
        assert "cut short" in refused(target, io.BytesIO(cut))

    def test_stream_that_goes_on_after_its_end(self, source: Store, target: Store) -> None:
        whole = source.stream().getvalue()
        assert "follows the end" in refused(target, io.BytesIO(whole * 2))

    @pytest.mark.parametrize("text", [b"mysqldump: error\n", b"[]\n", b'{"table": "runs"}\n'])
    def test_no_stream_at_all(self, target: Store, text: bytes) -> None:
        assert "stream of rows" in refused(target, io.BytesIO(text))

    def test_rows_that_are_not_as_many_as_the_frame_says(
        self, source: Store, target: Store
    ) -> None:
        source.with_a_run()
        assert "table runs" in refused(target, edited(source.stream(), "runs", rows=2))

    def test_table_that_the_other_side_has_not(self, source: Store, target: Store) -> None:
        source.run("CREATE TABLE mine (id INTEGER PRIMARY KEY)")
        assert "no table mine" in refused(target, source.stream())

    def test_table_that_only_the_target_has(self, source: Store, target: Store) -> None:
        target.run("CREATE TABLE mine (id INTEGER PRIMARY KEY)")
        assert "table mine" in refused(target, source.stream())

    @pytest.mark.parametrize("side", ["stream", "store"])
    def test_column_that_only_one_side_has(self, source: Store, target: Store, side: str) -> None:
        (source if side == "stream" else target).run("ALTER TABLE runs ADD COLUMN extra TEXT")
        said = refused(target, source.stream())
        assert said.startswith("runs.extra: ")
        assert side in said

    @pytest.mark.parametrize(
        ("row", "column"),
        [
            ((1, "a", b"blob"), "artifact_location"),
            ((1, b"blob", None), "name"),
        ],
    )
    def test_value_of_another_type_in_the_source(
        self, source: Store, row: tuple[Any, ...], column: str
    ) -> None:
        """SQLite lets any value into any column."""
        source.insert("experiments", row)
        with pytest.raises(Refused, match=rf"experiments\.{column}: .*not text"):
            source.stream()

    @pytest.mark.parametrize(
        ("column", "value"),
        [("timestamp", 1.5), ("value", "ten"), ("step", "x"), ("is_nan", None)],
    )
    def test_number_that_is_none_in_the_source(
        self, source: Store, column: str, value: object
    ) -> None:
        source.run("DROP TABLE metrics; CREATE TABLE metrics (key TEXT, value FLOAT,"
                   " timestamp BIGINT, step BIGINT, is_nan BOOLEAN)")  # fmt: skip
        row = {"key": "k", "value": 1.0, "timestamp": 1, "step": 1, "is_nan": 2, column: value}
        column = "is_nan" if value is None else column
        row["is_nan"] = 2 if value is None else 0
        source.insert("metrics", tuple(row.values()))
        with pytest.raises(Refused, match=rf"metrics\.{column}: "):
            source.stream()

    def test_document_that_is_none_in_the_source(self, source: Store) -> None:
        source.run("INSERT INTO spans (doc) VALUES ('{')")
        with pytest.raises(Refused, match=r"spans\.doc: .*not JSON"):
            source.stream()

    @pytest.mark.parametrize(
        ("broken", "said"),
        [
            ("INSERT INTO runs VALUES ('r', NULL, 99)", "FOREIGN KEY"),
            ("INSERT INTO metrics VALUES ('k', 1, 1, 1, 3, 'r')", "metrics"),
        ],
    )
    def test_row_that_contradicts_others(
        self, source: Store, target: Store, broken: str, said: str
    ) -> None:
        source.run(f"PRAGMA ignore_check_constraints = ON; {broken}")
        if "metrics" in broken:
            with pytest.raises(Refused, match=r"metrics\.is_nan: 3 is not a boolean"):
                source.stream()
        else:
            assert said in refused(target, source.stream())

    def test_two_rows_with_one_key(self, source: Store, target: Store) -> None:
        source.run("DROP TABLE params; CREATE TABLE params (key TEXT, value TEXT,"
                   " run_uuid TEXT REFERENCES runs (run_uuid))")  # fmt: skip
        source.with_a_run()
        source.insert("params", ("k", "a", "r"), ("k", "b", "r"))
        assert "params.key" in refused(target, source.stream())

    def test_nan_that_sqlite_would_make_null(self, source: Store, target: Store) -> None:
        source.with_a_run()
        source.insert("metrics", ("k", 12.25, 1, 1, 0, "r"))
        stream = source.stream().getvalue().replace(b"\t12.25\n", b"\t  nan\n")
        assert refused(target, io.BytesIO(stream)).startswith("metrics.value: ")

    def test_database_that_is_not_there_is_not_made(self, tmp_path: Path) -> None:
        for use in (lambda uri: digest(uri), lambda uri: read_rows(uri, io.BytesIO())):
            with pytest.raises(DatabaseFailed):
                use(f"sqlite:///{tmp_path}/none.db")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "uri", ["", "mlruns", "sqlite://", "oracle://u:geheim@h/d", "postgresql://u:geheim@[h/d"]
    )
    def test_address_of_no_store_is_refused_without_its_password(self, uri: str) -> None:
        with pytest.raises(CourierError) as told:
            digest(uri)
        assert "geheim" not in str(told.value)


class TestDigest:
    def test_order_of_rows_and_columns_does_not_count(self, source: Store, target: Store) -> None:
        source.insert("trace_tags", ("a", "k", "1"), ("b", "k", "2"), ("c", "k", None))
        target.run("DROP TABLE trace_tags; CREATE TABLE trace_tags (value VARCHAR(8000),"
                   " key VARCHAR(250), request_id VARCHAR(50))")  # fmt: skip
        target.insert("trace_tags", (None, "k", "c"), ("2", "k", "b"), ("1", "k", "a"))
        assert digest(target.uri)["trace_tags"] == digest(source.uri)["trace_tags"]

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE params SET value = 'y' WHERE key = 'a'",
            "UPDATE params SET value = NULL WHERE value = ''",
            "UPDATE params SET value = '\\N' WHERE value IS NULL",
            "UPDATE params SET value = 'a' || char(9), key = 'x' WHERE key = 'a'",
            "DELETE FROM params WHERE key = 'a'",
            "INSERT INTO params VALUES ('z', 'x', NULL)",
            "UPDATE params SET value = iif(key = 'a', '', 'x') WHERE key IN ('a', 'b')",
        ],
    )
    def test_every_change_shows(self, source: Store, change: str) -> None:
        source.insert("params", ("a", "x", None), ("b", "", None), ("c", None, None))
        before = digest(source.uri)
        source.run(change)
        after = digest(source.uri)
        assert after.pop("params")["digest"] != before.pop("params")["digest"]
        assert after == before

    def test_documents_count_by_what_they_mean(self, source: Store, target: Store) -> None:
        same = [
            ('{"b": [1, 2.0], "a": "é"}', '{"a":"\\u00e9","b":[1.0,2]}'),
            ("100000000000000000000000", "1e23"),
            ('{"a": 1, "a": 2}', '{"a": 2}'),
        ]
        for one, other in same:
            for store, document in ((source, one), (target, other)):
                store.run("DELETE FROM spans")
                store.insert("spans(doc)", (document,))
            assert digest(source.uri)["spans"] == digest(target.uri)["spans"], one
        for document in ("2", "[1]", "null", '"1"', "true"):
            source.run("DELETE FROM spans")
            source.insert("spans(doc)", (document,))
            assert digest(source.uri)["spans"] != digest(target.uri)["spans"], document


@pytest.mark.live  # processes, and much data
class TestProcess:
    def run(self, verb: str, uri: str, stream: bytes = b"", **job: Any) -> Any:
        return subprocess.run(
            [sys.executable, "-m", "stackctl.courier.rows", verb],
            input=json.dumps(job).encode() + b"\n" + stream, capture_output=True, check=False,
            env={**os.environ, "MLFLOW_BACKEND_STORE_URI": uri},
        )  # fmt: skip

    def test_stores_are_copied_by_processes(self, source: Store, target: Store) -> None:
        source.with_a_run()
        job: dict[str, Any] = {"relocations": [["/data/mlruns", "/new"]]}
        written = self.run("write", source.uri, **job)
        done = self.run("read", target.uri, written.stdout)
        assert target.rows("runs") == [("r", "/new/0/r/artifacts", 0)]
        sent = json.loads(done.stdout)["sent"]
        assert json.loads(self.run("digest", target.uri).stdout) == sent
        assert json.loads(self.run("digest", source.uri, **job).stdout) == sent

    def test_complaint_is_one_line(self, source: Store) -> None:
        done = self.run("read", source.uri, b"nonsense\n")
        assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)

    def test_memory_does_not_grow_with_the_table(self, source: Store, tmp_path: Path) -> None:
        """40 MB in rows of 1 MB, where a process needs 60 MB before it begins."""
        target = Store(tmp_path / "empty.db")
        with closing(sqlite3.connect(source.path)) as connection, connection:
            for _ in range(40):
                connection.execute(
                    "INSERT INTO spans (content) VALUES (?)", ("ä\\ x\t'" * 150_000,)
                )
        ends = []
        for verb, uri in (("write", source.uri), ("read", target.uri)):
            ends.append(
                subprocess.Popen(
                    [sys.executable, "-c", TELLING_ITS_PEAK, verb],
                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                    env={**os.environ, "MLFLOW_BACKEND_STORE_URI": uri},
                )
            )  # fmt: skip
        writer, reader = ends
        into = reader.stdin
        assert into
        assert writer.stdout
        assert writer.stderr
        for end in ends:
            assert end.stdin
            end.stdin.write(b"{}\n")
            end.stdin.flush()
        shutil.copyfileobj(writer.stdout, into, 2**20)
        assert writer.wait() == 0
        _, said = reader.communicate()
        assert (reader.returncode, len(target.rows("spans"))) == (0, 40)
        assert int(writer.stderr.read()) < 110
        assert int(said) < 110
