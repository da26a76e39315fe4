"""What was there before an upgrade, and how it comes back."""

from pathlib import Path

import pytest

from stackctl.deployment import Deployment
from stackctl.errors import MachineError
from tests.operations.stage import Stage
from tests.operations.test_upgrade import NEW, OLD, serves, to


@pytest.fixture
def x(stage: Stage) -> Deployment:
    """A stack of the old release with two runs, with a database and a bucket of its own."""
    return stage.deployed("scenario-5", "name=x", f"mlflow_version={OLD}", runs=2)


def test_the_database_comes_back_while_nobody_else_uses_it(stage: Stage, x: Deployment) -> None:
    """It alone has to run for that, and artifacts were never touched."""
    stage.machine.fails("prove", MachineError("it does not answer"))
    with pytest.raises(MachineError):
        to(stage)
    story = stage.machine.story
    assert story[story.index("prove") + 1 :] == [
        "write bundle",
        "stop tracking",
        "stop objects", "stop bucket", "stop tracking",
        "load database",
        "count rows",
        "start objects", "recreate bucket", "recreate tracking",
        "prove",
        "status deployed",
    ]  # fmt: skip
    assert serves(stage, OLD)


def test_a_database_that_is_stopped_is_started_to_come_back(stage: Stage, x: Deployment) -> None:
    with stage.dies("upgrade"):
        to(stage)
    stage.goes_down("x", "postgres")
    to(stage, OLD)
    story = stage.machine.story
    assert story.index("start postgres") < story.index("load database")
    assert story.index("load database") < story.index("start objects")
    assert serves(stage, OLD)


def test_without_a_backup_the_database_is_as_it_was(stage: Stage, x: Deployment) -> None:
    stage.machine.fails("dump artifacts", MachineError("the disk is full"))
    with pytest.raises(MachineError):
        to(stage)
    story = stage.machine.story
    assert story[story.index("dump artifacts") + 1 :] == [
        "write bundle", "stop tracking", "start tracking", "prove", "status deployed",
    ]  # fmt: skip
    assert serves(stage, OLD)


def test_a_server_of_a_newer_stackctl_is_made_anew_before_anything(
    stage: Stage, x: Deployment
) -> None:
    """One whose files run the newer release already, on data that the old one served."""
    path = x.stack.bundle / "compose.yaml"
    image = x.runtime.described(x.stack)[-1].program
    text = path.read_text()
    path.write_text(text.replace(image, f"stackctl-mlflow:{NEW}-another"))
    to(stage)
    story = stage.machine.story
    kept = ["release", "write before", "write bundle", "write before"]
    assert [what for what in story if what in kept][:4] == kept
    assert serves(stage, NEW)


def test_an_undo_that_fails_says_what_to_do_and_is_tried_again(stage: Stage, x: Deployment) -> None:
    archive = stage.home.path / "backups" / "u.tar"
    stage.machine.fails("prove", MachineError("it does not answer"))
    stage.machine.fails("load database", MachineError("the disk is full", details="last lines"))
    with pytest.raises(MachineError) as failure:
        to(stage)
    assert failure.value.exit_code == 3
    assert "failed: it does not answer; and so did undoing it: the disk is full" in str(
        failure.value
    )
    assert "run: stackctl upgrade x, which tries it again" in failure.value.hint
    assert f"stackctl restore {archive} --name x-2" in failure.value.hint
    assert failure.value.details == "last lines"
    assert stage.manifest("x").status == "upgrading"
    stage.begin()
    to(stage, OLD)
    assert serves(stage, OLD)


@pytest.mark.parametrize("gone", ["the files", "the archive"])
def test_what_cannot_be_put_back_is_named(stage: Stage, x: Deployment, gone: str) -> None:
    with stage.dies("upgrade"):
        to(stage)
    archive = Path(stage.manifest("x").upgrade["archive"])
    path = x.stack.folder / "before" if gone == "the files" else archive
    away = path.rename(path.with_name("away"))
    said = "before is gone" if gone == "the files" else "cannot be opened"
    with pytest.raises(MachineError, match=f"it was interrupted; and so did undoing it.*{said}"):
        to(stage)
    assert stage.manifest("x").status == "upgrading"
    away.rename(path)
    to(stage, name="again.tar")
    assert serves(stage, NEW)


def test_without_a_backup_no_restore_is_advised(stage: Stage, x: Deployment) -> None:
    stage.machine.fails("dump database", MachineError("no"))
    stage.machine.fails("start tracking", MachineError("the daemon is gone"))
    with pytest.raises(MachineError, match="undoing it: the daemon is gone") as failure:
        to(stage)
    assert failure.value.hint.endswith("which tries it again")


def test_a_run_that_did_not_come_back_is_no_success(
    stage: Stage, x: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    def counting(what: str) -> None:
        if what == "count rows" and "load database" in stage.machine.done:
            stage.database("x").tables["runs"].pop()
        asked(what)

    asked = stage.machine.asked
    monkeypatch.setattr(stage.machine, "asked", counting)
    stage.machine.fails("prove", MachineError("no"))
    with pytest.raises(MachineError, match="undoing it: there are 1 runs, and the archive says 2"):
        to(stage)
    # Nothing is started on less than there was.
    assert stage.machine.done[-1] == "load database"
    assert stage.manifest("x").status == "upgrading"
