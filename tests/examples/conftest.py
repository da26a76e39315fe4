"""Machines, and Pythons that are not stackctl's own."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.contract.conftest import machine as machine

OLD_MLFLOW = "2.22.2"


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with no packages."""
    return new_environment(tmp_path_factory.mktemp("python"))


@pytest.fixture(scope="session")
def old_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the last MLflow 2."""
    return new_environment(
        tmp_path_factory.mktemp("python"), f"mlflow=={OLD_MLFLOW}", "setuptools<81"
    )


def new_environment(folder: Path, *packages: str) -> Path:
    """The Python of a new virtual environment."""
    uv = [sys.executable, "-m", "uv"]
    subprocess.run(
        [*uv, "venv", "-q", "--python", sys.executable, str(folder / "venv")], check=True
    )
    python = folder / "venv" / "bin" / "python"
    if packages:
        subprocess.run(
            [*uv, "pip", "install", "-q", "--python", str(python), *packages], check=True
        )
    return python
