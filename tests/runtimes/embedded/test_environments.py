"""Environments of other MLflow releases, made by the real pip and the real uv."""

import importlib.util
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from stackctl.errors import MachineError
from stackctl.runtimes.embedded import environments

METADATA = "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
ENTRY = "[console_scripts]\ntiny = tiny:main\n"
# A release whose part is not served, while older ones of it are.
PARTED = METADATA.replace("tiny", "whole") + "Requires-Dist: tiny==3.18.0\n"
SOURCE = "import sys\ndef main():\n    print(sys.prefix)\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for environments, with a blank in its name, whoever runs this."""
    folder = tmp_path / "my data"
    monkeypatch.setattr(environments, "SYSTEM_FOLDER", folder)
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    return folder


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is installed: one small package with a program, from no index; more can be added."""
    found = [str(wheel_of(tmp_path, "tiny", METADATA))]
    monkeypatch.setattr(environments, "requirements", lambda _version: tuple(found))
    return found


def wheel_of(folder: Path, name: str, metadata: str) -> Path:
    """A wheel with a program of its name."""
    path, info = folder / f"{name}-1.0-py3-none-any.whl", f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", SOURCE)
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(f"{info}/WHEEL", WHEEL)
        wheel.writestr(f"{info}/entry_points.txt", ENTRY.replace("tiny", name))
        wheel.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture(params=["pip", "uv"])
def installer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Which of the two there is."""
    if request.param == "uv":
        real = importlib.util.find_spec

        def without_pip(name: str, package: str | None = None) -> Any:
            return None if name == "pip" else real(name, package)

        monkeypatch.setattr(importlib.util, "find_spec", without_pip)
    elif importlib.util.find_spec("pip") is None:
        pytest.skip("this Python has no pip")
    return str(request.param)


def test_programs_run_from_where_the_environment_is_in_the_end(
    place: Path, wanted: list[str], installer: str
) -> None:
    told: list[str] = []
    made = environments.folder("2.22.2")
    (made.parent / f".new-{made.name}-of-one-that-was-killed").mkdir(parents=True)
    environments.make("2.22.2", told.append)
    environments.make("2.22.2", told.append)
    assert sorted(path.name for path in made.parent.iterdir()) == [made.name, f"{made.name}.lock"]
    assert place in made.parents
    assert told == [f"installing MLflow 2.22.2 into {made} (some minutes the first time)"]
    done = subprocess.run([made / "bin" / "tiny"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(made)
    assert environments.path("2.22.2", "/rest") == f"{made}/bin:/rest"


def test_what_cannot_be_installed_leaves_nothing(
    place: Path, wanted: list[str], installer: str
) -> None:
    wanted.append(str(place / "nowhere-1.0-py3-none-any.whl"))
    with pytest.raises(MachineError, match=r"MLflow 2\.22\.2 cannot be installed: ") as error:
        environments.make("2.22.2", lambda _line: None)
    assert "nowhere-1.0" in f"{error.value} {error.value.details}"
    there = environments.folder("2.22.2").parent.iterdir()
    assert [path.suffix for path in there] == [".lock"]


def test_a_release_whose_part_is_not_served_names_the_part(
    place: Path, wanted: list[str], installer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("PIP", "UV"):
        monkeypatch.setenv(f"{variable}_NO_INDEX", "1")
        monkeypatch.setenv(f"{variable}_FIND_LINKS", str(tmp_path))
    wanted[:] = [str(wheel_of(tmp_path, "whole", PARTED))]
    with pytest.raises(MachineError, match=r"the package index has no tiny==3\.18\.0;"):
        environments.make("3.18.0", lambda _line: None)
    assert not environments.folder("3.18.0").exists()


def test_others_can_read_it_whatever_the_umask_is(place: Path, wanted: list[str]) -> None:
    before = os.umask(0o077)
    try:
        environments.make("2.22.2", lambda _line: None)
    finally:
        os.umask(before)
    made = environments.folder("2.22.2")
    for path in (made, made / "bin", made / "bin" / "tiny", *made.rglob("tiny.py")):
        assert path.stat().st_mode & 0o044 == 0o044, path


def test_another_content_is_another_environment(place: Path, wanted: list[str]) -> None:
    first = environments.folder("2.22.2")
    wanted.append("six")
    assert environments.folder("2.22.2") != first
    assert environments.component("2.22.2").label == "mlflow 2.22.2"
