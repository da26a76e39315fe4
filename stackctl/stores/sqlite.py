"""SQLite in one file beside the artifacts."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from stackctl.courier.counting import counted
from stackctl.machine import require_room
from stackctl.stores import tree
from stackctl.stores.base import Entry, Note, Ranges, unlike
from stackctl.stores.database import Database
from stackctl.stores.reach import Reach

# Logins have a database of their own: MLflow's, and that of single sign-on.
LOGIN = "users.db"
_LOGINS = (LOGIN, "people.db")
_FILES = ("mlruns.db", *_LOGINS)
# What SQLite keeps beside a database while it is used.
_BESIDE = ("-journal", "-wal", "-shm")
_LOCK_SECONDS = 20
_COPY = ".stackctl-copy-"


def dump(data: Path, names: Iterable[str]) -> Iterator[tuple[Entry, BinaryIO]]:
    """Those of the databases `names` that are there, as the online backup copies them."""
    for name in names:
        if (data / name).is_file():
            with copied(data / name, data) as path, path.open("rb") as file:
                yield Entry(name, os.fstat(file.fileno()).st_size), file


@contextmanager
def copied(database: Path, scratch: Path) -> Iterator[Path]:
    """A copy of a database in a folder below `scratch`, as of one moment; nobody else makes one."""
    for left in scratch.glob(f"{_COPY}*"):  # by one that was killed
        shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=scratch, prefix=_COPY) as folder:
        path = Path(folder) / database.name
        with closing(connect(database, "ro")) as source, closing(sqlite3.connect(path)) as target:
            source.backup(target)
            # One file alone, also where the journal was a second one.
            target.execute("PRAGMA journal_mode = DELETE")
        yield path


def remove(path: Path) -> None:
    """Delete a database, and what belongs to it."""
    for end in ("", *_BESIDE):
        path.with_name(path.name + end).unlink(missing_ok=True)


def connect(database: Path, mode: str) -> sqlite3.Connection:
    """A connection to a database that is there: `mode` is `ro` or `rw`."""
    return sqlite3.connect(
        f"file:{quote(str(database))}?mode={mode}", uri=True, timeout=_LOCK_SECONDS
    )


def _within(database: Path, counts: Ranges) -> str:
    """What is wrong with a database, in words; else ""."""
    with closing(connect(database, "ro")) as found:
        try:
            (said,) = found.execute("PRAGMA integrity_check(1)").fetchone()
            if said != "ok":
                return f"is damaged: {' '.join(str(said).split())}"
            rows = found.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = {name for (name,) in rows}
            there, _ = counted(tables, lambda query, own: found.execute(query, own).fetchone()[0])
        except sqlite3.Error as error:
            return f"is damaged: {error}"
    differs = unlike(counts, there)
    return differs and f"holds {differs}"


class SQLite(Database):
    """Runs as rows in `mlruns.db`."""

    kind = "sqlite"
    dumped = ("mlruns.db",)

    def flaw(self, entry: Entry, content: BinaryIO, counts: Ranges) -> str:
        """It is no database, of MLflow or of its login, not whole, or holds something else."""
        head = content.read(100)
        if entry.path not in _FILES or not head.startswith(b"SQLite format 3\0"):
            return self.another
        # A page of 65536 bytes is written as 1 (fileformat2).
        page = int.from_bytes(head[16:18]) if head[16:18] != b"\0\1" else 1 << 16
        if int.from_bytes(head[28:32]) * page != entry.size:
            return "is cut short"
        scratch = Path(tempfile.gettempdir())
        require_room(scratch, entry.size, f"a copy of {entry.path}, to look at it")
        with tempfile.NamedTemporaryFile(dir=scratch, prefix=_COPY) as file:
            file.write(head)
            shutil.copyfileobj(content, file)
            file.flush()
            return _within(Path(file.name), {} if entry.path in _LOGINS else counts)

    def tracking_uri(self, data: Path) -> str:
        """`sqlite:////…/mlruns.db`."""
        return f"sqlite:///{data / 'mlruns.db'}"

    def is_in(self, data: Path) -> bool:
        """It is a file there."""
        return (data / "mlruns.db").is_file()

    def client_environment(self, data: Path) -> dict[str, str]:
        """The artifact root.

        A client that opens the database itself would otherwise put the artifacts of a new
        experiment below its own working folder. MLflow 3.17 has no public setting for it and
        reads this one (mlflow/tracking/_tracking_service/utils.py).
        """
        return {"_MLFLOW_SERVER_ARTIFACT_ROOT": str(data / "mlruns")}

    def read_param(self, data: Path, experiment_id: str, run_id: str, key: str) -> str | None:
        """The value in table `params`."""
        with closing(connect(data / "mlruns.db", "ro")) as db:
            row = db.execute(
                "SELECT value FROM params WHERE run_uuid = ? AND key = ?", (run_id, key)
            ).fetchone()
        return None if row is None else str(row[0])

    def write_tag(self, data: Path, experiment_id: str, run_id: str, key: str, value: str) -> None:
        """A row in table `tags`."""
        with closing(connect(data / "mlruns.db", "rw")) as db, db:
            db.execute(
                "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", (key, value, run_id)
            )

    def dump(self, reach: Reach, note: Note) -> Iterator[tuple[Entry, BinaryIO]]:
        """Each database as SQLite's online backup copies it.

        In one step: after a few pages at a time, it would begin anew with every write. A client's
        commit waits meanwhile, for as long as 20 s (MLflow 3.17.2, mlflow/store/db/utils.py).
        """
        yield from dump(reach.data, _FILES)

    @contextmanager
    def rows(
        self, reach: Reach, relocations: Sequence[tuple[str, str]], cut_for: str = ""
    ) -> Iterator[BinaryIO]:
        """From a copy: writers would wait until the last row was read."""
        with copied(reach.data / "mlruns.db", reach.data) as path:
            job = {"uri": f"sqlite:///{path}", "relocations": relocations, "cut_for": cut_for}
            with reach.courier("rows-out", **job) as pipe:
                yield pipe.stdout

    def load(self, reach: Reach, entries: Iterable[tuple[Entry, BinaryIO]], revision: str) -> None:
        """Replace the databases, each at once."""
        for name in _FILES:
            remove(reach.data / name)
        tree.write(reach.data, (item for item in entries if item[0].path in _FILES))
