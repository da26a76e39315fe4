"""SQLite in one file beside the artifacts."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from stackctl.stores.base import BackendStore

_LOCK_SECONDS = 20


class SQLite(BackendStore):
    """Runs as rows in `mlruns.db`."""

    kind = "sqlite"
    label = "SQLite (mlruns.db)"
    local = True

    def tracking_uri(self, data: Path) -> str:
        """`sqlite:////…/mlruns.db`."""
        return f"sqlite:///{data / 'mlruns.db'}"

    def client_environment(self, data: Path) -> dict[str, str]:
        """The artifact root.

        A client that opens the database itself would otherwise put the artifacts of a new
        experiment below its own working folder. MLflow 3.17 has no public setting for it and
        reads this one (mlflow/tracking/_tracking_service/utils.py).
        """
        return {"_MLFLOW_SERVER_ARTIFACT_ROOT": str(data / "mlruns")}

    def read_param(self, data: Path, experiment_id: str, run_id: str, key: str) -> str | None:
        """The value in table `params`."""
        with closing(self._connect(data, "ro")) as db:
            row = db.execute(
                "SELECT value FROM params WHERE run_uuid = ? AND key = ?", (run_id, key)
            ).fetchone()
        return None if row is None else str(row[0])

    def write_tag(self, data: Path, experiment_id: str, run_id: str, key: str, value: str) -> None:
        """A row in table `tags`."""
        with closing(self._connect(data, "rw")) as db, db:
            db.execute(
                "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", (key, value, run_id)
            )

    def _connect(self, data: Path, mode: str) -> sqlite3.Connection:
        path = quote(str(data / "mlruns.db"))
        return sqlite3.connect(f"file:{path}?mode={mode}", uri=True, timeout=_LOCK_SECONDS)
