"""Every Python that is promised: the wheel installs, deploys, and the unit tests pass.

On those of Debian's suites, each on a machine of its own, where nothing is but Python and make.
"""

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.pythons.machine import Debian
from tests.uv_tool import run_uv

ROOT = Path(__file__).parents[2]
# Debian carries no 3.12 any more: trixie went from 3.11 to 3.13.
SUITES = {"3.11": "bookworm", "3.13": "trixie", "3.14": "sid"}
pytestmark = [
    pytest.mark.matrix,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a machine's root folder"),
]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of this checkout, and the wheel that is made of them."""
    folder = tmp_path_factory.mktemp("source")
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    subprocess.run(
        ["tar", "--create", "--null", "--files-from=-", "--file", folder / "source.tar"],
        cwd=ROOT, input=files.stdout, check=True,
    )  # fmt: skip
    subprocess.run(["tar", "--extract", "--file", "source.tar"], cwd=folder, check=True)
    (folder / "source.tar").unlink()
    run_uv("build", "--quiet", "--wheel", "--out-dir", folder / "dist", folder)
    return folder


def test_the_pythons_that_are_promised_are_these() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    assert promised == ["3.11", "3.12", "3.13", "3.14"]
    assert set(SUITES) == set(promised) - {"3.12"}


@pytest.mark.parametrize("version", SUITES)
def test_the_wheel_installs_and_deploys(version: str, source: Path, tmp_path: Path) -> None:
    told = machine(version).run(
        f"""
        python{version} -m venv /tool
        /tool/bin/pip install --quiet uv
        cd /root
        /tool/bin/uv tool install --quiet --python python{version} "$(echo /source/dist/*.whl)"
        PATH=/root/.local/bin:$PATH
        stackctl --version
        stackctl deploy scenario-3b 2>&1 || echo "exit $?"
        /tool/bin/uv tool install --quiet --python python{version} \\
            "$(echo /source/dist/*.whl)[embedded]"
        stackctl deploy scenario-3b --set workers=1 2>&1
        stackctl show
        stackctl remove scenario-3b --volumes --confirm scenario-3b
        """,
        source, tmp_path,
    )  # fmt: skip
    assert told.startswith("stackctl ")
    assert "the embedded runtime lacks mlflow" in told
    assert "[embedded]" in told
    assert "exit 3" in told
    assert "checked by use: http://127.0.0.1:" in told


@pytest.mark.parametrize("version", SUITES)
def test_the_unit_tests_pass(version: str, source: Path, tmp_path: Path) -> None:
    told = machine(version).run(
        f"""
        cd /source
        git init --quiet . && git add --all
        make test-unit VENV=/root/venv PYTHON=python{version} 2>&1 || {{ echo "exit $?"; exit 1; }}
        """,
        source, tmp_path,
    )  # fmt: skip
    assert re.search(r"\d{4} passed", told), told


def machine(version: str) -> Debian:
    """One with that Python."""
    python = f"python{version}"
    return Debian(SUITES[version], (python, f"{python}-venv", "ca-certificates", "make", "git",
                                    "procps"))  # fmt: skip
