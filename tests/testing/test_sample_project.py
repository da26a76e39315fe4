"""A project with tests of its own, and three sessions of its pytest at once, without Docker.

One has what a user installs: the wheel in a fresh environment, and a stack for all tests. Another
also asks for another scenario, and keeps its stacks. The third is killed in the middle of a test.
"""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.contract.driving import until
from tests.uv_tool import run_uv

ROOT = Path(__file__).parents[2]
PROJECT = Path(__file__).with_name("sample_project")
NOWHERE = "unix:///nonexistent/docker.sock"
HANGS = """
import time
from pathlib import Path

def test_hangs(tracking_uri):
    Path("begun").write_text(tracking_uri)
    time.sleep(600)
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the embedded runtime needs Linux")


@dataclass(frozen=True)
class Session:
    """A pytest of the project, with a folder of its own for temporary files."""

    process: subprocess.Popen[str]
    folder: Path

    @property
    def report(self) -> Path:
        return self.folder / "report.xml"

    def passed(self) -> str:
        """What it printed; it ended well."""
        output, _ = self.process.communicate(timeout=180)
        assert self.process.returncode == 0, output
        return output

    @property
    def path(self) -> str:
        """PATH with the programs of its environment."""
        assert isinstance(self.process.args, list)
        return f"{Path(self.process.args[0]).parent}:{os.environ['PATH']}"

    def properties(self, name: str) -> list[str]:
        """The values of a property that tests recorded, in their order."""
        found = ET.parse(self.report).iter("property")
        return [item.attrib["value"] for item in found if item.attrib["name"] == name]

    def left(self) -> list[str]:
        """What is there of its stacks: folders, and processes that know of them."""
        mark = str(self.folder / "tmp")
        found = [str(path) for path in (self.folder / "tmp").iterdir()]
        for process in psutil.process_iter(["cwd", "cmdline", "environ"]):
            info = process.info
            words = [info["cwd"], *(info["cmdline"] or ()), *(info["environ"] or {}).values()]
            if process.pid != self.process.pid and any(mark in (word or "") for word in words):
                found.append(f"process {process.pid}: {info['cmdline']}")
        return found


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment with the wheel that `make build` makes."""
    folder = tmp_path_factory.mktemp("installed")
    run_uv("build", "--quiet", "--out-dir", folder)
    (wheel,) = folder.glob("*.whl")
    run_uv("venv", "--quiet", "--python", sys.executable, folder / "venv")
    python = folder / "venv" / "bin" / "python"
    wanted = f"mlflow-stackctl[embedded,testing] @ {wheel.as_uri()}"
    run_uv("pip", "install", "--quiet", "--python", python, wanted)
    return python


def start(python: Path, folder: Path, *words: str) -> Session:
    """Start pytest in `folder`, and do not wait for it."""
    (folder / "tmp").mkdir(parents=True)
    dropped = ("STACKCTL_", "MLFLOW_", "PYTEST_", "DOCKER_", "PYTHON", "VIRTUAL_ENV")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
    process = subprocess.Popen(
        [python, "-m", "pytest", f"--junitxml={folder / 'report.xml'}", *words],
        cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**environment, "DOCKER_HOST": NOWHERE, "TMPDIR": str(folder / "tmp")},
    )  # fmt: skip
    return Session(process, folder)


@pytest.fixture(scope="module")
def sessions(
    python: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Session]]:
    """All three, begun at the same moment."""
    folder = tmp_path_factory.mktemp("sessions")
    options = ["--rootdir", str(PROJECT), "-c", str(PROJECT / "pyproject.toml"), "-p",
               "no:cacheprovider", str(PROJECT)]  # fmt: skip
    this = Path(sys.executable)
    (folder / "killed").mkdir()
    (folder / "killed" / "test_hangs.py").write_text(HANGS)
    found = {
        "wheel": start(python, folder / "wheel", *options, "-m", "not tracking_stack"),
        "keeps": start(this, folder / "keeps", *options, "--stackctl-keep"),
        "killed": start(this, folder / "killed", "test_hangs.py"),
    }
    yield found
    for session in found.values():
        session.process.kill()
        session.process.communicate()


@pytest.mark.matrix
def test_killed_session_leaves_nothing(sessions: Mapping[str, Session]) -> None:
    session = sessions["killed"]
    until((session.folder / "begun").exists, seconds=180, what="the test has begun")
    assert len(session.left()) > 3
    session.process.kill()
    until(lambda: session.left() == [], seconds=60, what="nothing of it is left")


def test_session_with_the_wheel_passes_and_leaves_nothing(
    sessions: Mapping[str, Session],
) -> None:
    session = sessions["wheel"]
    assert "5 passed" in session.passed()
    assert session.properties("runtime") == ["embedded"]
    assert session.left() == []


def test_session_that_keeps_its_stacks_says_how_to_remove_them(
    sessions: Mapping[str, Session],
) -> None:
    session = sessions["keeps"]
    output = session.passed()
    assert "7 passed" in output
    # The nearest marker asked for what the tests without one have.
    (name,) = set(session.properties("stack"))
    assert len(session.properties("stack")) == 2
    assert f"kept <TrackingStack {name}: scenario-3b, runtime embedded>" in output
    assert len(re.findall(r"kept <TrackingStack .*: scenario-2,", output)) == 1
    assert any("mlflow" in line for line in session.left())
    commands = re.findall(r"remove it  (.*)", output)
    assert len(commands) == 2
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command], env={**os.environ, "PATH": session.path},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert session.left() == []


def test_sessions_had_stacks_of_their_own(sessions: Mapping[str, Session]) -> None:
    both = [set(sessions[name].properties("stack")) for name in ("wheel", "keeps")]
    assert all(both)
    assert both[0].isdisjoint(both[1])
