"""What smoke makes of a journey: its steps, its report, its failure."""

import errno
import shutil
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree

import pytest

from stackctl.client.process import Client
from stackctl.errors import SmokeFailed
from stackctl.operations import smoke
from stackctl.operations.smoke import Step
from stackctl.proof.journey import Journey, travel

Steps = dict[str, tuple[Callable[[], str], tuple[str, ...]]]

STEPS = [
    Step("experiment", "passed", 0.25, "id 1"),
    Step("artifact of 64 MB", "failed", 1.5, "OSError: \x1b[31mdisk <full>\x00"),
    Step("model", "skipped", 0.0, "needs run"),
]


@dataclass
class Planned:
    """A journey of other steps."""

    planned: Steps

    def steps(self) -> Steps:
        return self.planned


def well() -> str:
    return "fine"


def badly() -> str:
    raise OSError(errno.ENOSPC, "No space left on device")


def a_client(**environment: str) -> Client:
    return Client(sys.executable, "3.17.2", "3.17.2", environment)


def taken(steps: Steps) -> tuple[bool, dict[str, tuple[str, str]]]:
    told: list[dict[str, Any]] = []
    good = travel(cast("Journey", Planned(steps)), told.append)
    return good, {e["step"]: (e["outcome"], e["detail"]) for e in told if "outcome" in e}


def test_what_needs_a_failed_step_is_skipped_and_the_rest_is_tried() -> None:
    good, outcomes = taken(
        {"a": (well, ()), "b": (badly, ("a",)), "c": (well, ("b",)), "d": (well, ("a",))}
    )
    assert not good
    assert outcomes == {
        "a": ("passed", "fine"),
        "b": ("failed", "OSError: [Errno 28] No space left on device"),
        "c": ("skipped", "needs b"),
        "d": ("passed", "fine"),
    }


def test_all_well_is_all_well() -> None:
    assert taken({"a": (well, ()), "b": (well, ("a",))})[0]


def test_report_is_xml_that_counts_what_happened() -> None:
    root = ElementTree.fromstring(smoke.junit(STEPS, "mine"))
    (suite,) = root
    assert suite.attrib["tests"] == "3"
    assert (suite.attrib["failures"], suite.attrib["skipped"]) == ("1", "1")
    assert float(suite.attrib["time"]) == 1.75
    cases = {case.attrib["name"]: [child.tag for child in case] for case in suite}
    assert cases == {"experiment": [], "artifact of 64 MB": ["failure"], "model": ["skipped"]}
    failure = suite.find("./testcase/failure")
    assert failure is not None
    assert "disk <full>" in failure.attrib["message"]


def test_failure_names_the_first_step(tmp_path: Path) -> None:
    failed = smoke.failure(STEPS, "mine", a_client(), [tmp_path / "not there"])
    assert failed is not None
    assert "1 of 3 steps failed on stack 'mine', first artifact of 64 MB" in str(failed)
    assert "stackctl logs --stack mine" in str(failed)
    assert smoke.failure(STEPS[:1], "mine", a_client(), []) is None


def test_client_that_cannot_begin_is_told_with_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "mlflow.py").write_text("raise SystemExit('broken, and the key is hunter2')")
    with pytest.raises(SmokeFailed, match="before it tried anything") as failed:
        smoke.journey(a_client(PYTHONPATH=str(tmp_path)), secrets=["hunter2"], begins=print)
    assert "broken, and the key is [redacted]" in failed.value.details


def test_client_that_dies_on_the_way_leaves_no_step_out(tmp_path: Path) -> None:
    (tmp_path / "mlflow.py").write_text(
        "import os\nclass MlflowClient:\n    def create_experiment(self, *_, **__): os.abort()\n"
    )
    steps = smoke.journey(a_client(PYTHONPATH=str(tmp_path)), secrets=[], begins=lambda _name: None)
    assert steps[0] == Step("experiment", "failed", 0.0, "the client ended with exit code -6")
    assert {step.outcome for step in steps[1:]} == {"skipped"}
    assert len(steps) == 13


def test_a_step_that_fails_is_told_without_secrets(tmp_path: Path) -> None:
    (tmp_path / "mlflow.py").write_text(
        "class MlflowClient:\n"
        "    def create_experiment(self, *_, **__): raise OSError('the key is hunter2')\n"
    )
    begun: list[str] = []
    steps = smoke.journey(
        a_client(PYTHONPATH=str(tmp_path)), secrets=["hunter2"], begins=begun.append
    )
    assert (steps[0].name, steps[0].outcome) == ("experiment", "failed")
    assert "the key is [redacted]" in steps[0].detail
    assert begun[0] == "experiment"
    assert "skipped" in {step.outcome for step in steps}


def test_failure_on_a_disk_that_is_nearly_full_says_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(9, 9, 5_000_000))
    failed = smoke.failure(STEPS, "mine", a_client(), [tmp_path])
    assert failed is not None
    assert failed.hint == f"free some disk space: {tmp_path} has 5 MB"


def test_failure_of_an_older_client_says_that() -> None:
    old = Client(sys.executable, "2.22.2", "3.17.2", {})
    failed = smoke.failure(STEPS, "mine", old, [])
    assert failed is not None
    assert "the client is older than the server, mlflow 2.22.2 beside 3.17.2" in failed.hint


def test_lost_value_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that drops what it was given, under the real client."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/db")
    monkeypatch.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", str(tmp_path / "artifacts"))
    outcomes: dict[str, str] = {}
    details: dict[str, str] = {}

    def lose(event: dict[str, Any]) -> None:
        if "outcome" in event:
            outcomes[event["step"]], details[event["step"]] = event["outcome"], event["detail"]
        elif event["step"] == "run":
            with sqlite3.connect(tmp_path / "db") as db:
                db.execute(
                    "CREATE TRIGGER lossy AFTER INSERT ON metrics WHEN NEW.step = 3 BEGIN "
                    "DELETE FROM metrics WHERE step = 3; END"
                )

    folder = tmp_path / "files"
    folder.mkdir()
    assert not travel(Journey(folder), lose)
    assert outcomes["experiment"] == outcomes["clean up"] == "passed"
    assert outcomes["run"] == "failed"
    assert "was read back instead of" in details["run"]
    assert outcomes["batch"] == outcomes["model"] == outcomes["registry"] == "skipped"
