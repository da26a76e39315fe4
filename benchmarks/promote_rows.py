"""A million points of a metric from SQLite to PostgreSQL, beside a plain COPY of the same rows.

The courier of the source is one process, that of the target another, and a pipe is between them, as
`stackctl promote` runs them. COPY reads a file that is ready in PostgreSQL's own format. Both fill
the same empty table with its indexes, and the foreign key to runs that are there. Needs
`mlflow-stackctl[embedded]` and no daemon; PostgreSQL is that of a stack of scenario-5.

The address of a database as the one argument takes that instead: an empty database of PostgreSQL.
"""

import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg2
import sqlalchemy

POINTS = 1_000_000
RUNS = 100
ROUNDS = 3
COLUMNS = ("key", "value", "timestamp", "step", "is_nan", "run_uuid")
MIGRATE = (
    "import os; from mlflow.store.db.utils import _initialize_tables as make, "
    "create_sqlalchemy_engine as engine; make(engine(os.environ['MLFLOW_BACKEND_STORE_URI']))"
)


def with_uri(uri: str, *command: str, **how: Any) -> "subprocess.Popen[bytes]":
    """Start Python beside a database."""
    environment = {**os.environ, "MLFLOW_BACKEND_STORE_URI": uri}
    return subprocess.Popen([sys.executable, *command], env=environment, **how)


def fill(path: Path) -> None:
    """The source: runs that logged the same ten metrics, step by step."""
    chance = random.Random(1)
    assert with_uri(f"sqlite:///{path}", "-c", MIGRATE, stderr=subprocess.DEVNULL).wait() == 0
    runs = [f"{chance.getrandbits(128):032x}" for _ in range(RUNS)]
    steps = POINTS // RUNS // 10
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(
            "INSERT INTO experiments (experiment_id, name, workspace, lifecycle_stage)"
            " VALUES (1, 'e', 'default', 'active')"
        )
        connection.executemany(
            "INSERT INTO runs (run_uuid, experiment_id, lifecycle_stage) VALUES (?, 1, 'active')",
            ((run,) for run in runs),
        )
        connection.executemany(
            f"INSERT INTO metrics ({', '.join(COLUMNS)}) VALUES (?, ?, ?, ?, 0, ?)",
            (
                (f"metric-{key}", chance.gauss(0, 1), 1795270957342 + 1000 * step, step, run)
                for run in runs
                for step in range(steps)
                for key in range(10)
            ),
        )


def plain_copy(cursor: Any, path: Path, scratch: Path) -> float:
    """Seconds of the COPY."""
    cursor.execute("DELETE FROM experiments")
    rows = scratch / "metrics.tsv"
    with closing(sqlite3.connect(path)) as source:
        for table, names in (
            ("experiments", ("experiment_id", "name", "workspace", "lifecycle_stage")),
            ("runs", ("run_uuid", "experiment_id", "lifecycle_stage")),
        ):
            found = source.execute(f"SELECT {', '.join(names)} FROM {table}").fetchall()
            places = ", ".join(["%s"] * len(names))
            cursor.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})", found)
        with rows.open("w", encoding="utf-8") as out:
            for row in source.execute(f"SELECT {', '.join(COLUMNS)} FROM metrics"):
                out.write("\t".join(map(str, row)) + "\n")
    start = time.monotonic()
    with rows.open("rb") as data:
        cursor.copy_expert(f"COPY metrics ({', '.join(COLUMNS)}) FROM STDIN", data, size=2**18)
    seconds = time.monotonic() - start
    rows.unlink()
    return seconds


def couriers(source: str, target: str) -> float:
    """Seconds of both couriers, from their start to their end."""
    start = time.monotonic()
    command = ("-m", "stackctl.courier.rows")
    writer = with_uri(source, *command, "write", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    reader = with_uri(target, *command, "read", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert writer.stdout
    assert reader.stdout
    for end in (writer, reader):
        assert end.stdin
        end.stdin.write(b"{}\n")
        end.stdin.flush()
    into = reader.stdin
    assert into
    while piece := os.read(writer.stdout.fileno(), 2**18):
        into.write(piece)
    into.close()
    told = json.load(reader.stdout)
    assert (writer.wait(), reader.wait()) == (0, 0)
    assert told["loaded"]["metrics"] == POINTS
    return time.monotonic() - start


def clear(cursor: Any) -> None:
    """Empty tables and their indexes, and no work left over for the server."""
    cursor.execute("TRUNCATE experiments CASCADE")
    cursor.execute("CHECKPOINT")


@contextmanager
def database() -> Iterator[str]:
    """An empty database beside that of a stack."""
    with tempfile.TemporaryDirectory() as home:
        stackctl = [sys.executable, "-m", "stackctl", "--home", home]
        name = "benchmark-rows"
        subprocess.run(
            [*stackctl, "deploy", "scenario-5", "--runtime", "embedded", "--name", name,
             "--port", "5993"],
            check=True, capture_output=True,
        )  # fmt: skip
        try:
            manifest = Path(home) / ".stackctl" / name / "manifest.json"
            port = json.loads(manifest.read_text())["ports"]["postgres"]
            password = (Path(home) / ".secrets" / name / "postgres_password").read_text().strip()
            place = f"mlflow:{quote(password, '')}@127.0.0.1:{port}"
            with closing(psycopg2.connect(f"postgresql://{place}/mlflow")) as connection:
                connection.autocommit = True
                connection.cursor().execute("CREATE DATABASE benchmark")
            yield f"postgresql+psycopg2://{place}/benchmark"
        finally:
            subprocess.run(
                [*stackctl, "remove", name, "--volumes", "--confirm", name],
                check=True, capture_output=True,
            )  # fmt: skip


def compare(target: str) -> None:
    """Print the seconds of each round, and the ratio of the best."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "source.db"
        fill(path)
        assert with_uri(target, "-c", MIGRATE, stderr=subprocess.DEVNULL).wait() == 0
        address = sqlalchemy.make_url(target).set(drivername="postgresql")
        with closing(psycopg2.connect(address.render_as_string(hide_password=False))) as connection:
            connection.autocommit = True
            cursor = connection.cursor()
            rounds = []
            for _ in range(ROUNDS):
                clear(cursor)
                plain = plain_copy(cursor, path, Path(folder))
                clear(cursor)
                copied = couriers(f"sqlite:///{path}", target)
                rounds.append((plain, copied))
                print(f"COPY {plain:.1f} s, couriers {copied:.1f} s")
    plain, copied = (min(times) for times in zip(*rounds, strict=True))
    print(f"{POINTS:,} points: ratio {copied / plain:.2f} of {copied:.1f} s to {plain:.1f} s")


def main() -> None:
    """Measure in the database that is named, or in one of a stack that is made for it."""
    if len(sys.argv) > 1:
        compare(sys.argv[1])
        return
    with database() as uri:
        compare(uri)


if __name__ == "__main__":
    main()
