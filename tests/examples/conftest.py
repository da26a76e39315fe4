"""Machines, and Pythons that are not stackctl's own."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from tests.engine.cache import cache_folder

OLD_MLFLOW = "2.22.2"


@pytest.fixture(scope="session")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with no packages."""
    return new_environment(tmp_path_factory.mktemp("python"))


@pytest.fixture(scope="session")
def old_python() -> Path:
    """A Python with the last MLflow 2, kept for other sessions."""
    packages = (f"mlflow=={OLD_MLFLOW}", "setuptools<81")
    content = json.dumps([sys.version, sys.prefix, packages])
    folder = cache_folder() / f"python-{hashlib.sha256(content.encode()).hexdigest()[:16]}"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            # What a killed session left is made anew: uv clears it.
            new_environment(fresh := folder.with_suffix(".new"), *packages)
            fresh.rename(folder)
    return folder / "venv" / "bin" / "python"


def new_environment(folder: Path, *packages: str) -> Path:
    """The Python of a new virtual environment."""
    uv = [sys.executable, "-m", "uv"]
    subprocess.run(
        [*uv, "venv", "-q", "--clear", "--python", sys.executable, str(folder / "venv")], check=True
    )
    python = folder / "venv" / "bin" / "python"
    if packages:
        subprocess.run(
            [*uv, "pip", "install", "-q", "--python", str(python), *packages], check=True
        )
    return python
