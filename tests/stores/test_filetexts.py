"""The texts of a file store are looked at in every place where MLflow keeps one."""

from pathlib import Path

import pytest

from stackctl.stores.filetexts import misfits

RUN = "a" * 32
LONG = "x" * 70_000
PLACES = {
    "1/meta.yaml": "experiments.name",
    "1/tags/note": "experiment_tags.value",
    f"1/{RUN}/meta.yaml": "runs.name",
    f"1/{RUN}/params/deep/er": "params.value",
    f"1/{RUN}/tags/note": "tags.value",
    "1/models/m-1/meta.yaml": "logged_models.name",
    "1/models/m-1/params/p": "logged_model_params.param_value",
    "1/models/m-1/tags/t": "logged_model_tags.tag_value",
    "1/datasets/d/meta.yaml": "datasets.name",
    "1/traces/t-1/trace_info.yaml": "trace_info.request_preview",
    "1/traces/t-1/tags/note": "trace_tags.value",
    "1/traces/t-1/request_metadata/note": "trace_request_metadata.value",
    "1/traces/t-1/assessments/a.yaml": "assessments.name",
    "models/penguins/meta.yaml": "registered_models.name",
    "models/penguins/tags/t": "registered_model_tags.value",
    "models/penguins/version-1/meta.yaml": "model_versions.description",
    "models/penguins/version-1/tags/t": "model_version_tags.value",
    ".trash/2/meta.yaml": "experiments.name",
}
_KEYS = ("name", "run_name", "request_preview", "assessment_name", "description")


def content(path: str, text: str) -> str:
    described = path.endswith(".yaml")
    return "".join(f"{key}: {path} {text}\n" for key in _KEYS) if described else text


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store with something in every place."""
    for place in PLACES:
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content(place, "short"))
    return tmp_path


def test_what_is_short_fits_everywhere(root: Path) -> None:
    for database in ("sqlite", "postgres", "mysql"):
        assert list(misfits(root, database, [])) == []


@pytest.mark.parametrize("place", PLACES)
def test_what_is_long_is_named_with_its_file(root: Path, place: str) -> None:
    # One column of MySQL is wider than the others.
    text = LONG * (300 if PLACES[place] == "experiment_tags.value" else 1)
    (root / place).write_text(content(place, text))
    found = {misfit.where for misfit in misfits(root, "mysql", [])}
    assert f"{PLACES[place]} of {root / place}" in found
    assert all(where.endswith(str(root / place)) for where in found)
    assert list(misfits(root, "sqlite", [])) == []
    assert list(misfits(root, "mysql", [], without=[root / place])) == []


def test_a_name_counts_too(root: Path) -> None:
    folders = [root / "1" / RUN / "metrics" / ("m" * 130), root / "models/penguins/aliases"]
    for folder in folders:
        folder.mkdir(parents=True)
    (folders[0] / ("n" * 130)).write_text("1 0.5 0\n")
    (found,) = misfits(root, "postgres", [])
    assert found.where.startswith("latest_metrics.key of ")
    assert (found.why, found.cut) == ("it has 261 characters, and 250 fit", False)


def test_two_names_that_mysql_takes_for_one_are_told(root: Path) -> None:
    for name in ("acc", "Acc"):
        (root / "1" / RUN / "params" / name).write_text("1")
    (found,) = misfits(root, "mysql", [])
    assert found.why.startswith("MySQL takes it for the one of ")
    assert list(misfits(root, "postgres", [])) == []


def test_a_place_counts_as_it_will_be(root: Path) -> None:
    old = "/home/me/" + "d" * 300
    (root / "1/meta.yaml").write_text(f"name: a\nartifact_location: {old}/1\n")
    (found,) = misfits(root, "postgres", [])
    assert found.where.startswith("experiments.artifact_location")
    assert list(misfits(root, "postgres", [(f"{old}/1", "mlflow-artifacts:/1")])) == []


def test_what_cannot_be_read_is_passed_over(root: Path) -> None:
    (root / "1/meta.yaml").write_text("name: [")
    (root / "1" / RUN / "params/latin").write_bytes(b"\xff")
    assert list(misfits(root, "postgres", [])) == []
