"""Every example on real stacks, by the command that users call."""

import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from stackctl.client.examples import EXAMPLES
from stackctl.versions import MLFLOW
from tests.contract.driving import COMMAND, Deployed, User, until, words
from tests.disk import small_disk

LESSONS = Path(__file__).with_name("lessons.py")
NOWHERE = "http://127.0.0.1:9"


def learnt(deployed: Deployed, example: str) -> None:
    """A client finds what the example is to leave."""
    stackctl, lessons = shlex.join(COMMAND), shlex.join([sys.executable, str(LESSONS), example])
    done = subprocess.run(
        ["bash", "-euc", f'eval "$({stackctl} env {deployed.name})"; {lessons}'],
        env=deployed.user.environment, cwd=deployed.user.home,
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


class Lessons:
    """Every example, in the order in which people take them."""

    runtime: ClassVar[str]

    def test_quickstart(self, deployed: Deployed) -> None:
        """Also where the caller's environment leads elsewhere."""
        astray = {"MLFLOW_TRACKING_URI": NOWHERE, "MLFLOW_REGISTRY_URI": NOWHERE,
                  "MLFLOW_EXPERIMENT_ID": "77", "MLFLOW_RUN_ID": "0" * 32}  # fmt: skip
        deployed.user.having(astray).ok("example", "quickstart", deployed.name)
        learnt(deployed, "quickstart")

    def test_every_notebook_runs_from_top_to_bottom(
        self, deployed: Deployed, tmp_path: Path
    ) -> None:
        output = tmp_path / "executed"
        deployed.user.ok("example", "penguins", deployed.name, "--output", str(output))
        names = {Path(part.path).name for part in EXAMPLES["penguins"].parts}
        assert {path.name for path in output.iterdir()} == names
        for path in output.iterdir():
            code = [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
            assert [c["execution_count"] for c in code] == list(range(1, len(code) + 1)), path.name
        learnt(deployed, "penguins")

    def test_remote(self, deployed: Deployed) -> None:
        told = deployed.user.ok("example", "remote", deployed.name)
        assert "equal predictions" in told
        learnt(deployed, "remote")


class TestEmbedded(Lessons):
    runtime = "embedded"
    scenario = "scenario-3b"
    # What a notebook may do wrong is shown below.
    rarely = ("test_every_notebook_runs_from_top_to_bottom", "test_remote")


@pytest.mark.matrix
@pytest.mark.parametrize(
    "deployed",
    ["scenario-1", "scenario-2", "scenario-3a", "scenario-3b", "scenario-3b-mysql", "scenario-4",
     "scenario-5", "scenario-5-mysql", "scenario-6"],
    indirect=True, scope="class",
)  # fmt: skip
class TestDockerMatrix(Lessons):
    runtime = "docker"


@pytest.mark.matrix
@pytest.mark.parametrize(
    "deployed",
    ["scenario-1", "scenario-2", "scenario-3a", "scenario-3b", "scenario-4", "scenario-5",
     "scenario-6"],
    indirect=True, scope="class",
)  # fmt: skip
class TestEmbeddedMatrix(Lessons):
    runtime = "embedded"


def own_processes(mark: str) -> list[str]:
    """The command lines of processes whose environment has `mark`."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if mark in process.environ():
                found.append(" ".join(process.cmdline()))
    return found


class TestWhatGoesWrong:
    """One stack of scenario-3b, and clients that cannot use it, or do not end well."""

    runtime = "embedded"
    scenario = "scenario-3b"

    def test_ctrl_c_in_a_notebook_leaves_no_process(
        self, deployed: Deployed, stack_name: Callable[[], str]
    ) -> None:
        mark = f"MARK_{stack_name()}"
        part = ["--only", "2_Deploy_and_manage"]
        running = deployed.user.having({mark: "1"}).start(
            "example", "penguins", deployed.name, *part
        )

        def kernel() -> bool:
            return any("ipykernel_launcher" in line for line in own_processes(mark))

        until(kernel, seconds=60, what="the notebook's kernel runs")
        running.send_signal(signal.SIGINT)
        _, told = running.communicate(timeout=60)
        assert running.returncode == 130, told
        assert own_processes(mark) == []

    def test_notebook_that_fails_says_where(self, deployed: Deployed, tmp_path: Path) -> None:
        """Here because its python has no working scikit-learn."""
        broken = tmp_path / "broken"
        (broken / "sklearn").mkdir(parents=True)
        (broken / "sklearn" / "__init__.py").write_text("raise ImportError('no BLAS here')\n")
        output = tmp_path / "executed"
        done = deployed.user.having({"PYTHONPATH": str(broken)}).run(
            "example", "penguins", deployed.name, "--output", str(output)
        )
        assert done.returncode == 3, done.stderr
        assert "no BLAS here" in done.stderr
        assert "1_Run_and_track_experiments.ipynb ended with exit code 1" in done.stderr
        (executed,) = output.iterdir()
        assert "no BLAS here" in executed.read_text()

    @pytest.mark.matrix
    def test_client_older_than_the_server_is_told_so(
        self, deployed: Deployed, old_python: Path
    ) -> None:
        python = ["--python", str(old_python)]
        done = deployed.user.run("smoke", deployed.name, *python)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"the client is older than the server, mlflow 2.22.2 beside {MLFLOW}" in done.stderr
        done = deployed.user.run(
            "example", "remote", deployed.name, *python, "--only", "register_iris"
        )
        assert done.returncode == 3, done.stderr
        assert f"pip install mlflow=={MLFLOW}" in done.stderr.splitlines()[-1]

    def test_python_without_the_packages_is_refused(
        self, deployed: Deployed, bare_python: Path
    ) -> None:
        done = deployed.user.run("example", "remote", deployed.name, "--python", str(bare_python))
        assert done.returncode == 2, done.stderr
        (line,) = done.stderr.splitlines()
        assert "has no mlflow, scikit-learn" in line
        assert f"-m pip install mlflow=={MLFLOW} scikit-learn" in line

    @pytest.mark.parametrize("python", ["/no/such/python", str(LESSONS)])
    def test_what_is_no_python_is_refused(self, deployed: Deployed, python: str) -> None:
        done = deployed.user.run("smoke", deployed.name, "--python", python)
        assert done.returncode == 2, done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert python in done.stderr

    def test_report_into_no_folder_is_refused_before_anything(self, deployed: Deployed) -> None:
        done = deployed.user.run("smoke", deployed.name, "--junit", "no/such/report.xml")
        assert done.returncode == 2, done.stderr
        assert done.stdout == ""

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
    @pytest.mark.matrix
    def test_smoke_on_a_full_disk_says_so(self, person: User, name: str, tmp_path: Path) -> None:
        with small_disk(tmp_path / "small", size="40m") as disk:
            person.ok(*words("scenario-3b", name, "--set", f"data={disk}/data"))
            done = person.run("smoke", name)
            assert done.returncode == 3, done.stderr
            assert "No space left on device" in done.stdout
            assert "first artifact of 64 MB; free some disk space" in done.stderr
            assert str(disk) in done.stderr
            left = [path for path in disk.rglob("*") if path.stat().st_size > 1 << 20]
            assert [path.name for path in left] == ["mlruns.db"]
            person.ok("remove", name, "--volumes", "--confirm", name)

    def test_stopped_stack_is_refused_with_how_to_start_it(self, deployed: Deployed) -> None:
        """The last one: the stack stays removed."""
        deployed.user.ok("remove", deployed.name)
        for command in (["example", "quickstart"], ["smoke"], ["open"]):
            done = deployed.user.run(*command, deployed.name)
            assert done.returncode == 3, done.stderr
            (line,) = done.stderr.splitlines()
            assert "is removed" in line
            assert f"stackctl deploy scenario-3b --name {deployed.name}" in line
