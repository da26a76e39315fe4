"""MLflow's file store, as stackctl makes it and MLflow reads it."""

from pathlib import Path
from typing import Any

import pytest

from stackctl.stores import BACKENDS

pytestmark = pytest.mark.live  # MLflow itself
FILES = BACKENDS["files"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder whose name YAML could misread."""
    folder = tmp_path / "größe: [x] 'y' \"z\""
    (folder / "mlruns").mkdir(parents=True)
    return folder


def test_client_that_names_no_experiment_finds_the_default_one(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    FILES.prepare(data)
    import mlflow

    client = mlflow.MlflowClient(FILES.tracking_uri(data))
    run = client.create_run("0")
    client.log_text(run.info.run_id, "hi", "note.txt")
    assert (data / "mlruns" / "0" / run.info.run_id / "artifacts" / "note.txt").is_file()


def test_it_is_what_mlflow_itself_makes(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    FILES.prepare(data)
    from mlflow.store.tracking.file_store import FileStore

    store: Any = FileStore  # its methods have no types
    made, other = str(data / "mlruns"), str(data / "other")
    ours = store(made, made).get_experiment("0")
    theirs = store(other, other).get_experiment("0")
    location = theirs.artifact_location.replace("/other/", "/mlruns/")
    assert ours.artifact_location == location
    for field in ("experiment_id", "name", "lifecycle_stage", "tags"):
        assert getattr(ours, field) == getattr(theirs, field)


def test_folder_with_anything_in_it_is_left_as_it_is(data: Path) -> None:
    (data / "mlruns" / ".trash").mkdir()
    FILES.prepare(data)
    assert [path.name for path in (data / "mlruns").iterdir()] == [".trash"]
