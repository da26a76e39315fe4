"""Promote: the origin is only read, everything is compared, and then the target serves it."""

from functools import partial

import pytest

from stackctl.errors import MachineError, NotReady
from stackctl.operations.origins import Origin, StackOrigin
from stackctl.operations.promote import Promotion, destination, look, promote
from stackctl.versions import MLFLOW
from tests.operations.machine import files, schema
from tests.operations.stage import METER, Stage


def into(stage: Stage, origin: Origin, scenario: str, *flags: str) -> Promotion:
    """Promote, as the command does."""
    target = destination(origin, stage.home, scenario, flags)
    return promote(origin, target, timeout=1, meter=METER, progress=stage.progress)


@pytest.fixture
def origin(stage: Stage) -> StackOrigin:
    """A stack `x` of scenario-3b with two runs, which runs on."""
    return StackOrigin(stage.deployed("scenario-3b", "name=x", runs=2))


def whole(stage: Stage, name: str = "y") -> bool:
    """The stack of scenario-5 holds what the origin holds, in its own place."""
    return (
        stage.database(name).tables == {
            "experiments": ["Default"],
            "runs": [f"mlflow-artifacts:/0/run{number}/artifacts" for number in range(2)],
        }
        and stage.artifacts(name) == stage.artifacts("x")
        and stage.manifest(name).status == "deployed"
    )  # fmt: skip


def test_workspaces_need_a_stack_that_has_them(stage: Stage, origin: StackOrigin) -> None:
    """MLflow would not start with them, after everything was copied."""
    stage.database("x").tables["workspaces"] = ["team", "other"]
    with stage.refuses(2, "has workspaces, 2 beside the default one", "set workspaces=true"):
        into(stage, origin, "scenario-5", "name=y")
    into(stage, origin, "scenario-5", "name=y", "workspaces=true")
    assert stage.database("y").tables["workspaces"] == ["team", "other"]


LOGIN = ("name=y", "auth=basic")


def test_accounts_come_along_where_both_have_a_login(stage: Stage) -> None:
    origin = StackOrigin(stage.deployed("scenario-3b", "name=x", "auth=basic", runs=1))
    stage.database("x").users = {"ada": "EDIT experiment 1", "eve": ""}
    found = into(stage, origin, "scenario-5", *LOGIN)
    assert stage.database("y").users == {"ada": "EDIT experiment 1", "eve": ""}
    assert stage.database("x").users == stage.database("y").users
    assert [note for note in found.notes if "came along" in note] == [
        "2 users came along with passwords, roles and permissions; admin has the password of "
        "stack 'y'"
    ]


def test_accounts_that_stay_behind_are_told(stage: Stage) -> None:
    origin = StackOrigin(stage.deployed("scenario-3b", "name=x", "auth=basic", runs=1))
    stage.database("x").users = {"ada": ""}
    told = "1 user with roles and permissions stay behind: stack 'y' has no login"
    target = destination(origin, stage.home, "scenario-5", ["name=y"])
    assert any(told in note for note in look(origin, target).notes)
    into(stage, origin, "scenario-5", "name=y")
    assert any(told in line for line in stage.told)
    assert not stage.database("y").users


def test_accounts_of_another_schema_are_refused_before_anything_is_copied(stage: Stage) -> None:
    origin = StackOrigin(stage.deployed("scenario-3b", "name=x", "auth=basic", runs=1))
    stage.database("x").users = {"ada": ""}
    stage.database("x").login_revision = "older"
    stage.deployed("scenario-5", *LOGIN)
    with stage.refuses(2, "the login of stack 'x' has the schema older, and that of 'y' now"):
        into(stage, origin, "scenario-5", *LOGIN)


# What goes well.


def test_rows_come_before_artifacts_and_both_are_compared_before_it_starts(
    stage: Stage, origin: StackOrigin
) -> None:
    found = into(stage, origin, "scenario-5", "name=y")
    story = stage.machine.story
    assert story[:5] == [
        "sweep", "misfits", "list artifacts", "count rows", "measure artifacts",
    ]  # fmt: skip
    assert story[story.index("status deployed") + 1 :] == [
        "count rows", "measure artifacts",
        "status promoting",
        "stop tracking",
        "rows out", "rows-in",
        "dump artifacts",
        "load artifacts/0/run0/artifacts/model.bin",
        "load artifacts/0/run1/artifacts/model.bin",
        "digest", "count rows", "dump artifacts", "elsewhere",
        "keys-rewrap",
        "start tracking",
        "prove",
        "status deployed",
    ]  # fmt: skip
    assert whole(stage)
    assert found.tables == {"experiments": 1, "runs": 2}
    assert (found.artifacts, found.bytes, found.notes) == (2, 14, ())
    assert found.counts == {"experiments": 1, "runs": 2}


def test_the_origin_is_only_read(stage: Stage, origin: StackOrigin) -> None:
    before = stage.database("x"), stage.artifacts("x"), files(origin.deployment.stack.folder)
    into(stage, origin, "scenario-5", "name=y")
    after = stage.database("x"), stage.artifacts("x"), files(origin.deployment.stack.folder)
    assert after == before


def test_nobody_changes_either_meanwhile(stage: Stage, origin: StackOrigin) -> None:
    """Both are held, from before anything is looked at."""
    busy = []

    class Trying:
        def expect(self, what: str, total: int) -> None:
            for name in ("x", "y"):
                with pytest.raises(MachineError, match="another stackctl is working"):
                    stage.deploy("scenario-3b" if name == "x" else "scenario-5", f"name={name}")
                busy.append(name)

        def advance(self, count: int) -> None:
            """Nothing."""

    target = destination(origin, stage.home, "scenario-5", ["name=y"])
    promote(origin, target, timeout=1, meter=Trying(), progress=stage.progress)
    assert busy == ["x", "y"] * 3


def test_an_empty_stack_that_runs_is_filled(stage: Stage, origin: StackOrigin) -> None:
    stage.deployed("scenario-5", "name=y")
    into(stage, origin, "scenario-5", "name=y")
    assert "create tracking" not in stage.machine.done
    assert whole(stage)


def test_files_become_rows(stage: Stage) -> None:
    origin = StackOrigin(stage.deployed("scenario-1", "name=x", runs=2))
    into(stage, origin, "scenario-5", "name=y")
    assert whole(stage)


@pytest.mark.parametrize(("scenario", "named"), [("scenario-4", True), ("scenario-5", False)])
def test_uploaded_skills_that_nobody_will_serve_are_named_before_anything(
    stage: Stage, origin: StackOrigin, scenario: str, named: bool
) -> None:
    stage.database("x").tables["uploaded_skill_versions"] = ["a", "b"]
    before = stage.now()
    found = look(origin, destination(origin, stage.home, scenario, ["name=y"]))
    told = "uploaded skill versions, 2, are copied with their content, which scenario-4 serves"
    assert any(note.startswith(told) for note in found.notes) is named
    assert stage.now() == before


def test_what_lies_beside_the_artifacts_is_named(stage: Stage) -> None:
    x = stage.deployed("scenario-4", "name=x", runs=1)
    stage.artifacts("x")["bucket/beside%2Fit"] = b"no artifact"
    found = into(stage, StackOrigin(x), "scenario-2", "name=y")
    assert found.notes == (
        "object beside%2Fit lies beside the artifacts and was not copied",
    )  # fmt: skip
    assert found.artifacts == 1


def test_artifacts_that_are_elsewhere_are_named(stage: Stage, origin: StackOrigin) -> None:
    stage.database("x").tables["runs"].append("s3://theirs/1/run7/artifacts")
    found = into(stage, origin, "scenario-5", "name=y")
    (note,) = found.notes
    assert note == ("artifacts of 1 runs at s3://theirs/1 stay where they are and were not copied")


def test_a_look_copies_nothing(stage: Stage, origin: StackOrigin) -> None:
    before = stage.now()
    found = look(origin, destination(origin, stage.home, "scenario-5", ["name=y"]))
    assert found == Promotion({"experiments": 1, "runs": 2}, 14, {}, 0, ())
    assert (stage.now(), stage.machine.done) == (before, [])


# What is refused.


def test_a_stack_is_not_promoted_into_itself(stage: Stage, origin: StackOrigin) -> None:
    with stage.refuses(2, "stack 'x' cannot be promoted into itself", "--name"):
        into(stage, origin, "scenario-5", "name=x")


@pytest.mark.parametrize("scenario", ["scenario-1", "scenario-3a"])
def test_files_take_nothing(stage: Stage, origin: StackOrigin, scenario: str) -> None:
    with stage.refuses(2, f"{scenario} keeps runs as files, which MLflow no longer develops"):
        into(stage, origin, scenario, "name=y")
    with stage.refuses(2, "keeps runs as files"):
        look(origin, destination(origin, stage.home, scenario, ["name=y"]))


@pytest.mark.parametrize("what", ["runs", "artifacts"])
def test_a_stack_that_holds_data_is_refused(stage: Stage, origin: StackOrigin, what: str) -> None:
    stage.deployed("scenario-5", "name=y", runs=1)
    if what == "artifacts":
        stage.database("y").tables.clear()
    else:
        stage.artifacts("y").clear()
    with stage.refuses(2, "stack 'y' holds data", "nothing was changed"):
        into(stage, origin, "scenario-5", "name=y")


def test_a_stack_of_another_scenario_than_was_named_is_refused(
    stage: Stage, origin: StackOrigin
) -> None:
    stage.deployed("scenario-2", "name=y")
    with stage.refuses(2, "stack 'y' is of scenario-2, not of scenario-5"):
        into(stage, origin, "scenario-5", "name=y")


def test_another_schema_is_refused(stage: Stage) -> None:
    x = stage.deployed("scenario-3b", "name=x", "mlflow_version=3.16.0", runs=1)
    stage.deployed("scenario-5", "name=y")
    said = f"stack 'x' has the schema {schema('3.16.0')}, and stack 'y' {schema(MLFLOW)}"
    with stage.refuses(2, said, "stackctl upgrade", "nothing was copied"):
        into(stage, StackOrigin(x), "scenario-5", "name=y")


# What is left where it fails.


def test_rows_that_differ_afterwards_are_named(stage: Stage, origin: StackOrigin) -> None:
    class Altering:
        def expect(self, what: str, total: int) -> None:
            if what == "comparing artifacts":
                stage.database("y").tables["runs"].append("another")

        def advance(self, count: int) -> None:
            """Nothing."""

    target = destination(origin, stage.home, "scenario-5", ["name=y"])
    with pytest.raises(MachineError, match="table runs differs between the two stacks"):
        promote(origin, target, timeout=1, meter=Altering(), progress=stage.progress)
    assert stage.manifest("y").status == "promoting"
    assert stage.machine.done[-1] == "load artifacts/0/run1/artifacts/model.bin"


@pytest.mark.parametrize("how", ["altered", "lost"])
def test_artifacts_that_differ_afterwards_are_named(
    stage: Stage, origin: StackOrigin, how: str
) -> None:
    class Altering:
        def expect(self, what: str, total: int) -> None:
            if what == "comparing artifacts":
                held, name = stage.artifacts("y"), "artifacts/0/run1/artifacts/model.bin"
                if how == "lost":
                    del held[name]
                else:
                    held[name] = b"another"

        def advance(self, count: int) -> None:
            """Nothing."""

    target = destination(origin, stage.home, "scenario-5", ["name=y"])
    said = "artifact '0/run1/artifacts/model.bin' differs between the two stacks"
    with pytest.raises(MachineError, match=said):
        promote(origin, target, timeout=1, meter=Altering(), progress=stage.progress)
    assert stage.manifest("y").status == "promoting"


def test_a_target_that_does_not_serve_them_stays_half_promoted(
    stage: Stage, origin: StackOrigin
) -> None:
    stage.machine.fails("prove", NotReady("it does not answer"), at=2)
    with pytest.raises(NotReady):
        into(stage, origin, "scenario-5", "name=y")
    assert stage.manifest("y").status == "promoting"
    stage.begin()
    into(stage, origin, "scenario-5", "name=y")
    assert whole(stage)


def test_one_that_goes_on_passes_over_what_is_there(stage: Stage, origin: StackOrigin) -> None:
    with stage.dies("load artifacts/0/run1"):
        into(stage, origin, "scenario-5", "name=y")
    into(stage, origin, "scenario-5", "name=y")
    loaded = [what for what in stage.machine.done if what.startswith("load")]
    assert loaded == ["load artifacts/0/run1/artifacts/model.bin"]
    assert whole(stage)


def test_one_that_goes_on_takes_what_was_logged_meanwhile(
    stage: Stage, origin: StackOrigin
) -> None:
    with stage.dies("digest"):
        into(stage, origin, "scenario-5", "name=y")
    stage.machine.logs(origin.deployment.stack, origin.deployment.root, runs=1)
    assert into(stage, origin, "scenario-5", "name=y").artifacts == 3
    assert len(stage.database("y").tables["runs"]) == 3


def test_one_that_is_killed_is_ended_by_the_same_command(stage: Stage, origin: StackOrigin) -> None:
    """At whichever moment after the deploy; nothing else is started on half of the data."""
    act = partial(into, stage, origin, "scenario-5", "name=y")
    for moment in stage.early_ends("is killed", act, "status deployed"):
        manifest = stage.home.stack("y").manifest()
        if manifest is not None and manifest.status == "promoting":
            with stage.refuses(2, "the data of stack 'y' is half promoted"):
                stage.deploy("scenario-5", "name=y")
        act()
        assert whole(stage), moment


def test_one_that_is_interrupted_while_it_copies_is_ended_by_the_same_command(
    stage: Stage, origin: StackOrigin
) -> None:
    stage.deployed("scenario-5", "name=y")
    act = partial(into, stage, origin, "scenario-5", "name=y")
    for moment in stage.early_ends("is interrupted", act):
        act()
        assert whole(stage), moment
