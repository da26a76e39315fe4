"""Drill: an archive is restored beside everything else, compared, and nothing of it stays."""

from pathlib import Path

import pytest

from stackctl.archive import Archive
from stackctl.errors import Busy, MachineError, NotReady
from stackctl.operations.drill import Rehearsal, drill
from stackctl.operations.held import held
from tests.operations.machine import files
from tests.operations.stage import METER, Stage


def rehearse(stage: Stage, path: Path) -> Rehearsal:
    """Do it, as the command does."""
    with Archive(path) as archive:
        return drill(
            archive, stage.home, "auto", timeout=1, meter=METER, progress=stage.progress
        )  # fmt: skip


@pytest.fixture
def archive(stage: Stage, request: pytest.FixtureRequest) -> Path:
    """Of a stack `x` with three runs, which runs on; of scenario-3b if nothing else is said."""
    scenario = getattr(request, "param", "scenario-3b")
    return stage.archived(stage.deployed(scenario, "name=x", runs=3))


@pytest.mark.parametrize("archive", ["scenario-3b", "scenario-5"], indirect=True)
def test_what_was_found_is_told_and_nothing_stays(stage: Stage, archive: Path) -> None:
    before = files(stage.home.path)
    found = rehearse(stage, archive)
    assert (found.members, found.counts["runs"]) == (3, 3)
    assert 0 <= found.seconds < 60
    assert files(stage.home.path) == before
    world, mark = stage.machine.world, stage.home.stack("x-drill").owner
    assert not world.services[mark]
    assert not world.volumes.get(mark)
    assert stage.machine.done[-1] == "forget"


def test_the_scratch_stack_is_for_this_machine_alone(stage: Stage) -> None:
    x = stage.deployed(
        "scenario-6", "name=a-name-of-more-than-twenty", "bind=0.0.0.0", "auth=basic",
        "public_hosts=ml.example.org", "public_url=https://ml.example.org", "tls=internal", runs=1,
    )  # fmt: skip
    path = stage.archived(x)
    with stage.dies("load database"):
        rehearse(stage, path)
    drilled = stage.recorded("a-name-of-more-than--drill").settings
    assert (drilled.bind, drilled.public_hosts) == ("127.0.0.1", ())
    assert (drilled.public_url, drilled.tls, drilled.http_port) == ("", "off", None)
    ports = {drilled.port, drilled.artifacts_port}
    assert len(ports) == 2
    assert not ports & {x.settings.port, x.settings.artifacts_port}


def test_of_several_servers_one_is_enough_for_it(stage: Stage) -> None:
    x = stage.deployed("scenario-5", "name=x", "public_url=https://ml.example.org", "tls=internal",
                       "replicas=2", runs=1)  # fmt: skip
    assert rehearse(stage, stage.archived(x)).members == 1


def test_what_servers_are_told_in_their_own_words_is_left_out(stage: Stage) -> None:
    """A secret that they need is not in every home that has the archive."""
    stage.home.stack("x").secrets.take("hf_token", "hf-0123456789")
    x = stage.deployed("scenario-3b", "name=x", "server.env.HF_TOKEN=secret:hf_token",
                       "server.args.x-frame-options=DENY", runs=1)  # fmt: skip
    path = stage.archived(x)
    x.secrets.forget("hf_token")
    with stage.dies("load database"):
        rehearse(stage, path)
    drilled = stage.recorded("x-drill").settings.server
    assert (drilled.args, drilled.env) == ({}, {})
    assert rehearse(stage, path).members == 1


@pytest.mark.parametrize(
    ("moment", "at"),
    [
        ("status deploying", 1),
        # The data folder is there, and that stackctl made it is not written down.
        ("status deploying", 2),
        ("create tracking", 1),
        ("load database", 1),
        ("dump artifacts", 1),
        ("remove services", 1),
        ("delete secrets", 1),
        ("forget", 1),
    ],
)
def test_one_that_was_killed_is_taken_away_by_the_next(
    stage: Stage, archive: Path, moment: str, at: int
) -> None:
    before = files(stage.home.path)
    with stage.dies(moment, at=at):
        rehearse(stage, archive)
    rehearse(stage, archive)
    assert files(stage.home.path) == before


@pytest.mark.parametrize("archive", ["scenario-3b", "scenario-5"], indirect=True)
@pytest.mark.parametrize("moment", ["create tracking", "load database", "prove", "dump artifacts"])
def test_one_that_is_interrupted_leaves_nothing(stage: Stage, archive: Path, moment: str) -> None:
    before = files(stage.home.path)
    stage.machine.interrupts(moment)
    with pytest.raises(KeyboardInterrupt):
        rehearse(stage, archive)
    assert files(stage.home.path) == before


def test_an_artifact_that_differs_is_named(stage: Stage, archive: Path) -> None:
    class Damaging:
        def expect(self, what: str, total: int) -> None:
            if what == "comparing artifacts":
                held = stage.artifacts("x-drill")
                held["artifacts/0/run1/artifacts/model.bin"] = b"model X"

        def advance(self, count: int) -> None:
            """Nothing."""

    with (
        Archive(archive) as found,
        pytest.raises(
            MachineError, match=r"'artifacts/0/run1/artifacts/model.bin' differs from the archive"
        ),
    ):
        drill(found, stage.home, "auto", timeout=1, meter=Damaging(), progress=stage.progress)


def test_nobody_changes_the_scratch_stack_while_it_is_compared(stage: Stage, archive: Path) -> None:
    tried: list[str] = []

    class Trying:
        what = ""

        def expect(self, what: str, total: int) -> None:
            self.what = what

        def advance(self, count: int) -> None:
            if self.what == "comparing artifacts" and not tried:
                with pytest.raises(Busy), held(stage.recorded("x-drill")):
                    raise AssertionError("two are inside")
                tried.append(self.what)

    with Archive(archive) as found:
        drill(found, stage.home, "auto", timeout=1, meter=Trying(), progress=stage.progress)
    assert tried


def test_an_artifact_that_was_not_restored_is_named(stage: Stage, archive: Path) -> None:
    class Losing:
        def expect(self, what: str, total: int) -> None:
            if what == "comparing artifacts":
                stage.artifacts("x-drill").clear()

        def advance(self, count: int) -> None:
            """Nothing."""

    with (
        Archive(archive) as found,
        pytest.raises(
            MachineError, match=r"'artifacts/0/run0/artifacts/model.bin' was not restored"
        ),
    ):
        drill(found, stage.home, "auto", timeout=1, meter=Losing(), progress=stage.progress)


def test_a_stack_of_that_name_that_no_drill_made_is_left_alone(stage: Stage, archive: Path) -> None:
    scenario = stage.manifest("x").scenario
    stage.deployed(scenario, "name=x-drill", "port=5999", runs=1)
    with stage.refuses(2, "there is a stack 'x-drill', which no drill made"):
        rehearse(stage, archive)


def test_an_archive_with_an_external_store_has_no_bucket_to_be_tried_in(stage: Stage) -> None:
    secrets = stage.home.stack("x").secrets
    for name in ("s3_access_key", "s3_secret_key"):
        secrets.take(name, "of-somebody-else")
    path = stage.archived(stage.deployed("scenario-5", "name=x", "object_store=external"))
    with stage.refuses(2, "a drill has no bucket of its own there"):
        rehearse(stage, path)


def test_a_damaged_archive_begins_nothing(stage: Stage, archive: Path) -> None:
    content = bytearray(archive.read_bytes())
    content[len(content) // 2] ^= 1
    archive.write_bytes(content)
    with stage.refuses(2, "differs from its checksum"):
        rehearse(stage, archive)


def test_an_archive_does_not_decide_what_is_deleted(stage: Stage, archive: Path) -> None:
    theirs = stage.home.path.with_name("theirs-drill")
    theirs.mkdir()
    (theirs / "drill").touch()
    with Archive(archive) as found, stage.refuses(2, "'../../theirs-drill' is no name of a stack"):
        found.manifest["stack"] = "../../theirs"
        drill(found, stage.home, "auto", timeout=1, meter=METER, progress=stage.progress)
    assert (theirs / "drill").exists()


def test_a_folder_that_was_there_before_a_drill_is_not_deleted(stage: Stage, archive: Path) -> None:
    theirs = stage.home.path / "data" / "x-drill"
    theirs.mkdir(parents=True)
    (theirs / "thesis.txt").write_text("mine")
    with stage.dies("write bundle"):
        rehearse(stage, archive)
    rehearse(stage, archive)
    assert (theirs / "thesis.txt").read_text() == "mine"


def test_a_store_that_cannot_be_used_afterwards_is_told(stage: Stage, archive: Path) -> None:
    stage.machine.fails("prove", NotReady("it does not answer"), at=2)
    before = files(stage.home.path)
    with pytest.raises(NotReady, match="it does not answer"):
        rehearse(stage, archive)
    assert files(stage.home.path) == before


def test_an_archive_that_cannot_be_loaded_says_nothing_of_a_stack_that_is_gone(
    stage: Stage, archive: Path
) -> None:
    stage.machine.fails("load database", MachineError("the dump ends", hint="mend that"))
    with pytest.raises(MachineError) as failure:
        rehearse(stage, archive)
    assert failure.value.hint == (
        "if this machine failed, mend that and run the same command again; if the archive is at "
        "fault, take another backup"
    )


def test_the_data_go_where_the_home_says_and_no_image_is_run_unasked(
    stage: Stage, archive: Path, tmp_path: Path
) -> None:
    """What an archive says, somebody may have written into it."""
    with Archive(archive) as found:
        found.manifest["settings"] = {
            "data": str(tmp_path / "theirs"),
            "bind": "::",
            "auth": "basic",
        }
        drill(found, stage.home, "auto", timeout=1, meter=METER, progress=stage.progress)
        assert not (tmp_path / "theirs").exists()
        found.manifest["settings"] = {"images": {"tracking": "theirs:1"}}
        with stage.refuses(2, "images.tracking=theirs:1", "--as-it-was"):
            drill(found, stage.home, "auto", timeout=1, meter=METER, progress=stage.progress)
