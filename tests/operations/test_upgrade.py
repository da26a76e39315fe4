"""Upgrade: made ready first, backed up before anything changes, undone where it fails."""

from functools import partial
from pathlib import Path

import pytest

from stackctl.archive import Archive
from stackctl.deployment import Deployment
from stackctl.errors import BadArchive, MachineError, NotReady, Undone, UserError
from stackctl.operations.upgrade import Options, Upgrade, look, releases, upgrade
from stackctl.versions import MLFLOW
from tests.operations.machine import files, schema
from tests.operations.stage import METER, Stage

OLD, NEW = "3.16.0", MLFLOW
UNDOING = "putting back what was there before an upgrade that was interrupted"


def to(stage: Stage, release: str = NEW, image: str | None = None, name: str = "u.tar") -> Upgrade:
    """Upgrade stack `x`, as the command does."""
    now, wanted = releases(stage.recorded("x"), release, image)
    options = Options(stage.home.path / "backups" / name, 1)
    return upgrade(now, wanted, options, meter=METER, progress=stage.progress)


def dry(stage: Stage, release: str = NEW, image: str | None = None) -> Upgrade:
    """What that would do."""
    now, wanted = releases(stage.recorded("x"), release, image)
    return look(now, wanted, Options(stage.home.path / "backups" / "u.tar"))


@pytest.fixture(params=["scenario-3b", "scenario-5"])
def x(stage: Stage, request: pytest.FixtureRequest) -> Deployment:
    """A stack of the old release with two runs."""
    return stage.deployed(request.param, "name=x", f"mlflow_version={OLD}", runs=2)


@pytest.fixture
def small(stage: Stage) -> Deployment:
    """The same, of one service."""
    return stage.deployed("scenario-3b", "name=x", f"mlflow_version={OLD}", runs=2)


def serves(stage: Stage, release: str) -> bool:
    """That release serves both runs, by its own files, and nothing is left over."""
    x = stage.recorded("x")
    held, manifest = stage.database("x"), stage.manifest("x")
    server = stage.runtime.observe(x.stack).services[x.scenario.server]
    return (
        held.revision == schema(release)
        and len(held.tables["runs"]) == 2
        and (manifest.status, manifest.mlflow, dict(manifest.upgrade)) == ("deployed", release, {})
        and f":{release}-" in server.program
        and {path.name for path in x.stack.folder.iterdir()} <= {"bundle", "lock", "manifest.json"}
        and not stage.deploy(x.scenario.name, "name=x", f"mlflow_version={release}")
    )


# What goes well.


def test_what_is_needed_is_made_first_and_the_new_release_is_proved(
    stage: Stage, x: Deployment
) -> None:
    found = to(stage)
    story = stage.machine.story
    assert story[:2] == ["sweep", "sweep"]
    assert "prove" not in story[: story.index("stop tracking")]
    ready = ["sweep", "sweep", "write next", "release", "write before",
             "count rows", "measure artifacts", "release"]  # fmt: skip
    assert [what for what in story[: story.index("status upgrading")]
            if not what.startswith(("build", "pull"))] == ready  # fmt: skip
    assert story[story.index("status upgrading") :] == [
        "status upgrading",
        "stop tracking",
        "count rows", "measure artifacts", "elsewhere", "dump database", "count rows",
        "elsewhere", "dump artifacts",
        "status upgrading",
        "upgrade",
        "count rows",
        "write bundle",
        "recreate tracking" if x.scenario.name == "scenario-3b" else "recreate bucket",
        *([] if x.scenario.name == "scenario-3b" else ["recreate tracking"]),
        "prove",
        "status deployed",
    ]  # fmt: skip
    assert (found.before, found.after, found.steps) == (OLD, NEW, ("done",))
    assert found.counts == {"experiments": 1, "runs": 2}
    assert serves(stage, NEW)


def test_the_backup_holds_what_the_old_release_held(stage: Stage, small: Deployment) -> None:
    to(stage)
    with Archive(stage.home.path / "backups" / "u.tar") as archive:
        archive.verify()
        assert archive.manifest["mlflow"] == OLD
        assert archive.manifest["revision"] == schema(OLD)
        assert archive.manifest["counts"]["runs"] == [2, 2]


def test_a_second_upgrade_has_nothing_to_do(stage: Stage, small: Deployment) -> None:
    to(stage)
    stage.begin()
    before = stage.now()
    assert to(stage) == Upgrade(NEW, NEW, {}, ())
    assert dry(stage) == Upgrade(NEW, NEW, {}, ())
    assert (stage.now(), stage.machine.done) == (before, [])


def test_a_stack_that_is_stopped_is_started_for_it(stage: Stage, x: Deployment) -> None:
    stage.goes_down("x", *x.scenario.services)
    to(stage)
    assert "start tracking" in stage.machine.done
    assert serves(stage, NEW)


def test_a_look_says_what_would_be_done_and_does_nothing(stage: Stage, small: Deployment) -> None:
    before = stage.now()
    found = dry(stage)
    assert stage.now() == before
    assert stage.machine.done == []
    build, stop, back_up, take, start = found.steps
    assert build.startswith(f"build, pull or install stackctl-mlflow:{NEW}-")
    assert stop == "stop tracking"
    assert "u.tar" in back_up
    assert f"from schema {schema(OLD)} to that of MLflow {NEW}" in take
    assert start == f"start MLflow {NEW}, and check it by use"
    # What is there need not be made.
    _, wanted = releases(small, NEW, None)
    stage.machine.world.programs |= {program.name for program in wanted.render().programs}
    assert len(dry(stage).steps) == 4


def test_a_stack_with_its_own_image_gets_one_that_is_named(stage: Stage) -> None:
    stage.machine.world.brings |= {"mine:a": OLD, "mine:b": NEW}
    stage.deployed("scenario-3b", "name=x", f"mlflow_version={OLD}", "images.tracking=mine:a",
                   runs=2)  # fmt: skip
    to(stage, image="mine:b")
    assert stage.manifest("x").settings["images"] == {"tracking": "mine:b"}
    assert stage.manifest("x").mlflow == NEW
    stage.begin()
    assert to(stage, image="mine:b").steps == ()


def test_a_stack_that_was_deployed_by_another_stackctl_is_of_the_release_that_it_served(
    stage: Stage, small: Deployment
) -> None:
    """The default of that one was written down as if it were chosen."""
    values = {**stage.manifest("x").settings, "mlflow_version": NEW}
    stage.becomes("x", settings=values)
    now, wanted = releases(stage.recorded("x"), NEW, None)
    assert (now.settings.mlflow_version, wanted.settings.mlflow_version) == (OLD, NEW)
    # Nobody knows which it was: what was chosen holds.
    stage.becomes("x", mlflow="")
    now, _ = releases(stage.recorded("x"), NEW, None)
    assert now.settings.mlflow_version == NEW


# What is refused.


def refuses(stage: Stage, code: int, *said: str, to_: str = NEW, image: str | None = None) -> None:
    """Both the upgrade and the look at it, and neither changes anything."""
    with stage.refuses(code, *said):
        dry(stage, to_, image)
    with stage.refuses(code, *said):
        to(stage, to_, image)


def test_files_have_no_schema_to_upgrade(stage: Stage) -> None:
    stage.deployed("scenario-3a", "name=x", f"mlflow_version={OLD}")
    refuses(stage, 2, "keeps runs as files", "stackctl deploy scenario-3a --name x")


def test_there_is_no_way_back(stage: Stage) -> None:
    stage.deployed("scenario-3b", "name=x", f"mlflow_version={NEW}")
    refuses(stage, 2, f"there is no way back to {OLD} but a backup", to_=OLD)


def test_its_own_image_is_not_replaced_by_stackctls(stage: Stage) -> None:
    stage.machine.world.brings["mine:a"] = OLD
    stage.deployed("scenario-3b", "name=x", f"mlflow_version={OLD}", "images.tracking=mine:a")
    refuses(stage, 2, "stack 'x' runs an image of its own, mine:a", "--image")


def test_a_database_of_another_major_version_is_refused(stage: Stage) -> None:
    stage.deployed("scenario-5", "name=x", f"mlflow_version={OLD}", "images.postgres=postgres:17.9")
    values = {**stage.manifest("x").settings, "images": {}}
    stage.becomes("x", settings=values)
    refuses(stage, 2, "those of postgres:17.9, and postgres:18", "is another major version")


def test_a_name_that_belongs_to_another_home_is_refused(stage: Stage, small: Deployment) -> None:
    world, mark = stage.machine.world, small.stack.owner
    world.projects["another"], world.services["another"] = "x", dict(world.services[mark])
    refuses(stage, 2, "belongs to another home")


def test_an_archive_that_is_there_is_not_overwritten(stage: Stage, small: Deployment) -> None:
    path = stage.home.path / "backups" / "u.tar"
    path.parent.mkdir()
    path.write_text("mine")
    with stage.refuses(2, "there is a file of that name"):
        dry(stage)
    with pytest.raises(BadArchive, match="there is a file of that name"):
        to(stage)
    assert path.read_text() == "mine"
    assert serves(stage, OLD)


@pytest.mark.parametrize("what", ["the backup", "the new schema"])
def test_no_room_is_said_before_anything_stops(
    stage: Stage, small: Deployment, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def room(folder: Path, needed: int, for_what: str) -> None:
        if for_what == what:
            raise MachineError(f"{what} needs more")

    monkeypatch.setattr("stackctl.operations.upgrade.require_room", room)
    with pytest.raises(MachineError, match=f"{what} needs more"):
        to(stage)
    assert "stop tracking" not in stage.machine.done
    assert serves(stage, OLD)


def test_an_image_that_brings_another_release_is_refused(stage: Stage) -> None:
    stage.machine.world.brings |= {"mine:a": OLD, "mine:b": "3.16.5"}
    stage.deployed("scenario-3b", "name=x", f"mlflow_version={OLD}", "images.tracking=mine:a")
    before = files(stage.home.path)
    with pytest.raises(UserError, match=f"mine:b brings MLflow 3.16.5, not {NEW}"):
        to(stage, image="mine:b")
    assert files(stage.home.path) == before


def test_a_release_that_does_not_know_the_data_is_refused(stage: Stage, small: Deployment) -> None:
    stage.database("x").revision = schema("3.99.0")
    before = files(stage.home.path)
    with pytest.raises(UserError, match=f"MLflow {NEW} does not know the schema"):
        to(stage)
    assert files(stage.home.path) == before


# What is left where it fails.


@pytest.mark.parametrize(
    ("x", "how"), [("scenario-3b", "fails"), ("scenario-5", "is interrupted")], indirect=["x"]
)
def test_one_that_ends_early_leaves_the_old_release_in_service(
    stage: Stage, x: Deployment, how: str
) -> None:
    """At whichever moment before the end of the proof it is."""
    archive = stage.home.path / "backups" / "u.tar"
    for moment in stage.early_ends(how, partial(to, stage), last="prove"):
        assert serves(stage, OLD), moment
        if archive.exists():
            with Archive(archive) as kept:
                kept.verify()


def test_one_that_is_killed_is_first_undone_by_the_next(stage: Stage, small: Deployment) -> None:
    """At whichever moment it is."""
    for moment in stage.early_ends("is killed", partial(to, stage)):
        half = stage.manifest("x").status == "upgrading"
        if half:
            with stage.refuses(2, "an upgrade of stack 'x' was interrupted"):
                stage.deploy("scenario-3b", "name=x", f"mlflow_version={OLD}")
        to(stage, name="again.tar")
        assert (UNDOING in stage.told) is half, moment
        assert serves(stage, NEW), moment


@pytest.mark.parametrize("moment", ["stop tracking", "upgrade", "recreate tracking"])
def test_the_next_does_no_more_than_undo_it_where_the_old_release_is_asked_for(
    stage: Stage, small: Deployment, moment: str
) -> None:
    with stage.dies(moment):
        to(stage)
    assert to(stage, OLD).steps == ()
    assert UNDOING in stage.told
    assert serves(stage, OLD)


def test_a_failure_before_the_backup_is_whole_is_not_called_undone(
    stage: Stage, small: Deployment
) -> None:
    """Nothing was changed, so there was nothing to bring back but the servers."""
    stage.machine.fails("dump artifacts", MachineError("the disk is full"))
    with pytest.raises(MachineError, match="the disk is full") as failure:
        to(stage)
    assert failure.value.exit_code == 3
    assert "load database" not in stage.machine.done
    assert serves(stage, OLD)


@pytest.mark.parametrize("moment", ["upgrade", "recreate tracking", "prove"])
def test_a_failure_after_it_is_undone_and_says_so(
    stage: Stage, small: Deployment, moment: str
) -> None:
    stage.machine.fails(moment, NotReady("it does not start", details="its last lines"))
    with pytest.raises(Undone, match=f"to MLflow {MLFLOW} failed: it does not start") as failure:
        to(stage)
    assert failure.value.exit_code == 4
    assert f"MLflow {OLD} serves what it served before" in failure.value.hint
    assert str(stage.home.path / "backups" / "u.tar") in failure.value.hint
    assert failure.value.details == "its last lines"
    assert serves(stage, OLD)


def test_ctrl_c_after_it_is_undone_and_says_so(stage: Stage, small: Deployment) -> None:
    stage.machine.interrupts("upgrade")
    # Whoever presses it again has to wait.
    stage.machine.interrupts("load database")
    with pytest.raises((Undone, KeyboardInterrupt)) as ended:
        to(stage)
    assert isinstance(ended.value, Undone)
    assert "failed: interrupted" in str(ended.value)
    assert serves(stage, OLD)


def test_a_new_release_that_does_not_come_up_is_undone(stage: Stage, x: Deployment) -> None:
    stage.machine.ailing["tracking"] = 1
    with pytest.raises(Undone, match="service tracking is running, unhealthy"):
        to(stage)
    assert serves(stage, OLD)


def test_a_server_that_says_another_release_is_undone(stage: Stage, small: Deployment) -> None:
    stage.machine.says = "3.17.1"
    with pytest.raises(Undone, match=rf"the server says that it is MLflow 3\.17\.1, not {MLFLOW}"):
        to(stage)
    stage.machine.says = None
    assert serves(stage, OLD)


def test_a_migration_that_loses_a_run_is_undone(
    stage: Stage, small: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = stage.machine.happens

    def losing(what: str) -> None:
        real(what)
        if what == "upgrade":
            stage.database("x").tables["runs"].pop()

    monkeypatch.setattr(stage.machine, "happens", losing)
    with pytest.raises(Undone, match="there are 1 runs, and the archive says 2"):
        to(stage)
    assert serves(stage, OLD)


def test_a_refused_one_leaves_nothing_of_its_preparations(stage: Stage, small: Deployment) -> None:
    stage.machine.fails("build", MachineError("there is no network"))
    with pytest.raises(MachineError, match="there is no network"):
        to(stage)
    assert serves(stage, OLD)


def test_what_an_earlier_one_left_is_not_in_the_way(stage: Stage, small: Deployment) -> None:
    (small.stack.folder / "next").mkdir()
    (small.stack.folder / "next" / "stale.txt").write_text("of another time")
    to(stage)
    assert serves(stage, NEW)
