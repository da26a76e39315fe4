"""The examples that ship, as files."""

import re
import tomllib
from pathlib import Path

import pytest

from stackctl import resources
from stackctl.client import examples as example
from stackctl.client.examples import EXAMPLES, Example, Part
from stackctl.errors import UnknownName, UserError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("found", EXAMPLES.values(), ids=EXAMPLES)
def test_every_part_is_a_file(found: Example) -> None:
    folder = resources.folder("examples") / found.folder
    for part in found.parts:
        assert folder.joinpath(*part.path.split("/")).is_file(), part.path


def test_every_file_to_run_is_a_part() -> None:
    shipped = {
        str(path.relative_to(ROOT / "examples"))
        for path in (ROOT / "examples").glob("*/**/*")
        if path.suffix in (".py", ".ipynb")
    }
    assert shipped == {f"{e.folder}/{part.path}" for e in EXAMPLES.values() for part in e.parts}


def test_the_extra_installs_what_every_example_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["optional-dependencies"]["examples"]
    installed = {re.split(r"[<>=]", line)[0] for line in lines}
    needed = {package for found in EXAMPLES.values() for package in found.packages}
    assert needed | {"boto3"} == installed


def test_copy_has_every_file(tmp_path: Path) -> None:
    example.copy(EXAMPLES["penguins"], tmp_path / "new")
    names = {path.name for path in (tmp_path / "new").rglob("*") if path.is_file()}
    assert {"penguins.csv", "README.md", "1_Run_and_track_experiments.ipynb"} <= names


def test_copy_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "mlflow_tracking.py").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="is there already"):
        example.copy(EXAMPLES["quickstart"], tmp_path)
    with pytest.raises(UserError, match="is there already"):
        example.copy(EXAMPLES["quickstart"], tmp_path / "mlflow_tracking.py")
    assert [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()] == ["mine"]


def test_unknown_names_are_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'penguins'"):
        example.find("pinguins")
    with pytest.raises(UnknownName, match="did you mean 'train'"):
        EXAMPLES["remote"].part("trian")


def test_a_part_may_run_several_times_with_other_values() -> None:
    calls = [str(part) for part in EXAMPLES["remote"].part("compare_regression")]
    assert len(set(calls)) == 3
    assert all("--alpha 1 --l1-ratio" in call for call in calls)
    assert Part("notebooks/x.ipynb").is_notebook
