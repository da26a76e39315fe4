"""Which artifacts lie at none of a stack's own places, as a database and as files say."""

import io
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stackctl.courier import elsewhere, filestore
from stackctl.courier.places import Experiment, Located, places

NOTHING = io.BytesIO()
OWN = ["mlflow-artifacts:", "s3://mlflow"]
EXPERIMENTS = {
    "1": Experiment("own", "mlflow-artifacts:/1"),
    "2": Experiment("theirs", "file:///srv/theirs/"),
    "3": Experiment("stackctl readiness x", "/somewhere"),
}


@pytest.mark.parametrize(
    ("location", "place"),
    [
        ("mlflow-artifacts:/1/r/artifacts", None),
        ("s3://mlflow/other/r/artifacts", None),
        ("s3://mlflow2/1/r/artifacts", "s3://mlflow2/1/r/artifacts"),
        (
            "mlflow-artifacts://host:5000/1/r/artifacts",
            "mlflow-artifacts://host:5000/1/r/artifacts",
        ),
        ("file:///srv/theirs/r/artifacts", "file:///srv/theirs"),
        ("file:///srv/theirs2/r/artifacts", "file:///srv/theirs2/r/artifacts"),
    ],
)
def test_a_place_is_below_none_of_the_roots(location: str, place: str | None) -> None:
    found = places(OWN, EXPERIMENTS, [Located("runs", "r", "2", location)])
    assert [each["location"] for each in found] == ([place] if place else [])


def test_things_are_counted_by_place_with_the_folders_that_are_their_own() -> None:
    base = "file:///srv/theirs"
    things = [
        Located("runs", "r1", "2", f"{base}/r1/artifacts"),
        Located("runs", "r2", "2", f"{base}/shared/artifacts"),
        Located("runs", "..", "2", f"{base}/../artifacts"),
        Located("logged_models", "m1", "2", f"{base}/models/m1/artifacts"),
        Located("runs", "checked", "3", "/somewhere/checked/artifacts"),
    ]
    assert places(OWN, EXPERIMENTS, things) == [
        {
            "location": base,
            "experiment": "2",
            "name": "theirs",
            "counts": {"runs": 3, "logged_models": 1},
            "folders": ["r1/artifacts", "models/m1/artifacts"],
        }
    ]


@pytest.mark.parametrize("experiment", ["../7", "a b", ""])
def test_an_experiment_that_can_name_no_folder_has_none(experiment: str) -> None:
    things = [Located("runs", "r", experiment, "/srv/x/r/artifacts")]
    (found,) = places(OWN, {experiment: Experiment("x", "/srv/x")}, things)
    assert (found["counts"], found["folders"]) == ({"runs": 1}, [])


WANTED = {
    "location": "/srv/it's",
    "experiment": "7",
    "name": "näme",
    "folders": ["r1/artifacts", "models/m1/artifacts"],
    "counts": {"runs": 1, "logged_models": 1},
}


def test_a_database_says_it_whatever_its_schema_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_BACKEND_STORE_URI", f"sqlite:///{tmp_path}/a.db")

    def run(*statements: str) -> list[Any]:
        with closing(sqlite3.connect(tmp_path / "a.db")) as db, db:
            for statement in statements:
                db.execute(statement)
        return list(elsewhere.elsewhere({"roots": OWN}, NOTHING, NOTHING)["places"])

    old = run(
        "CREATE TABLE experiments (experiment_id, name, artifact_location)",
        "CREATE TABLE runs (run_uuid, experiment_id, artifact_uri)",
        "INSERT INTO experiments VALUES (1, 'own', 'mlflow-artifacts:/1'), "
        "(7, 'näme', '/srv/it''s')",
        "INSERT INTO runs VALUES ('r0', 1, 'mlflow-artifacts:/1/r0/artifacts'), ('r', 1, NULL), "
        "('r1', 7, '/srv/it''s/r1/artifacts')",
    )
    assert old == [{**WANTED, "folders": ["r1/artifacts"], "counts": {"runs": 1}}]
    new = run(
        "CREATE TABLE logged_models (model_id, experiment_id, artifact_location)",
        "CREATE TABLE trace_info (request_id, experiment_id)",
        "CREATE TABLE trace_tags (request_id, key, value)",
        "INSERT INTO logged_models VALUES ('m1', 7, '/srv/it''s/models/m1/artifacts')",
        "INSERT INTO trace_info VALUES ('t1', 7)",
        "INSERT INTO trace_tags VALUES ('t1', 'mlflow.artifactLocation', "
        "'/srv/it''s/traces/t1/artifacts'), ('t1', 'other', '/srv/x')",
    )
    assert new == [
        {
            **WANTED,
            "folders": [*WANTED["folders"], "traces/t1/artifacts"],
            "counts": {"runs": 1, "logged_models": 1, "traces": 1},
        }
    ]


@pytest.mark.parametrize("deleted", [False, True])
def test_files_say_it_and_what_is_deleted_has_no_folder(tmp_path: Path, deleted: bool) -> None:
    root = tmp_path / "mlruns"
    above = root / ".trash" if deleted else root
    for path, values in {
        root / "1/meta.yaml": {"name": "own", "artifact_location": f"{root}/1"},
        root / "1/r0/meta.yaml": {"artifact_uri": f"{root}/1/r0/artifacts"},
        above / "7/meta.yaml": {"name": "näme", "artifact_location": "/srv/it's"},
        above / "7/r1/meta.yaml": {"artifact_uri": "/srv/it's/r1/artifacts"},
        above / "7/models/m1/meta.yaml": {"artifact_location": "/srv/it's/models/m1/artifacts"},
    }.items():
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(values))
    (root / "1/r2").mkdir()
    (root / "1/r2/meta.yaml").write_bytes(b"artifact_uri: [\xff")
    job = {"folder": str(root), "roots": [str(root), f"file://{root}"]}
    found = filestore.elsewhere(job, NOTHING, NOTHING)["places"]
    assert found == [{**WANTED, "folders": [] if deleted else WANTED["folders"]}]
