"""MLflow's file store: one folder for each experiment and run.

Since MLflow 3.13 it is in maintenance mode, and client and server must set
MLFLOW_ALLOW_FILE_STORE=true to use it (seen with 3.17.2).
"""

import json
import time
from pathlib import Path

from stackctl.stores.base import BackendStore


class Files(BackendStore):
    """Runs as files below `mlruns/`."""

    kind = "files"
    label = "files (mlruns/)"
    local = True

    def tracking_uri(self, data: Path) -> str:
        """The folder itself."""
        return str(data / "mlruns")

    def client_environment(self, data: Path) -> dict[str, str]:
        """The opt-in that MLflow asks for."""
        return {"MLFLOW_ALLOW_FILE_STORE": "true"}

    def prepare(self, data: Path) -> None:
        """Make the experiment `Default`, in which clients log that name none.

        MLflow makes it only together with the folder (3.17.2, mlflow/store/tracking/file_store.py),
        which has to be there before a container can mount it.
        """
        folder = data / "mlruns"
        if any(folder.iterdir()):
            return
        now = int(time.time() * 1000)
        experiment = {
            "artifact_location": str(folder / "0"), "creation_time": now, "experiment_id": "0",
            "last_update_time": now, "lifecycle_stage": "active", "name": "Default",
        }  # fmt: skip
        (folder / "0").mkdir()
        # JSON's strings are YAML's, whatever is in a path.
        lines = [f"{key}: {json.dumps(value)}\n" for key, value in experiment.items()]
        (folder / "0" / "meta.yaml").write_text("".join(lines), encoding="utf-8")

    def read_param(self, data: Path, experiment_id: str, run_id: str, key: str) -> str | None:
        """The content of the parameter's file."""
        path = data / "mlruns" / experiment_id / run_id / "params" / key
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def write_tag(self, data: Path, experiment_id: str, run_id: str, key: str, value: str) -> None:
        """Write the tag's file."""
        folder = data / "mlruns" / experiment_id / run_id / "tags"
        folder.mkdir(exist_ok=True)
        (folder / key).write_text(value, encoding="utf-8")
