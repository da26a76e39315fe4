"""What a target cannot take is told before it is made, and what the user wants is done with it."""

import os
from pathlib import Path

import pytest

from stackctl.operations.examination import Choice
from stackctl.operations.origins import StackOrigin, named
from stackctl.operations.promote import Promotion, destination, look, promote
from tests.operations.stage import METER, Stage

RUN = "a" * 32
SKIP, TRUNCATE = Choice
APPLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder `mlruns` with two runs, of which each has an artifact."""
    folder = tmp_path / "laptop" / "mlruns"
    (folder / "0").mkdir(parents=True)
    (folder / "0" / "meta.yaml").write_text("experiment_id: '0'\nname: Default\n")
    for run in (RUN, "b" * 32):
        (folder / "0" / run / "params").mkdir(parents=True)
        of_run = f"run_id: {run}\nexperiment_id: '0'\nstatus: 3\nstart_time: 1\n"
        (folder / "0" / run / "meta.yaml").write_text(of_run)
        (folder / "0" / run / "artifacts").mkdir()
        (folder / "0" / run / "artifacts" / "model.bin").write_text("weights")
    return folder


def into(stage: Stage, folder: Path, *choices: Choice, scenario: str = "scenario-5") -> Promotion:
    origin = named(stage.home, None, folder, None, None, skip=SKIP in choices)
    target = destination(origin, stage.home, scenario, ["name=y"])
    looked = look(origin, target, choices)
    done = promote(origin, target, choices=choices, timeout=1, meter=METER, progress=stage.progress)
    assert looked.counts == done.counts
    assert [note for note in looked.notes if note not in stage.told] == []
    return done


def spoiled(folder: Path) -> dict[str, Path]:
    """One of each kind, by what is told of it."""
    run = folder / "0" / RUN
    (run / "params" / "p").write_text("x" * 9000)
    (run / "params" / "._p").write_bytes(APPLE)
    (run / "artifacts" / "back\\slash.txt").write_text("b")
    return {"it has 9000 characters, and 8000 fit": run / "params" / "p",
            "what a Mac or an editor left": run / "params" / "._p",
            "backslash": run / "artifacts" / "back\\slash.txt"}  # fmt: skip


# What is refused.


@pytest.mark.parametrize("dry", [True, False])
def test_everything_is_named_at_once_and_nothing_is_made(
    stage: Stage, folder: Path, dry: bool
) -> None:
    found = spoiled(folder)
    origin = named(stage.home, None, folder, None, None)
    target = destination(origin, stage.home, "scenario-5", ["name=y"])
    with stage.refuses(2, "3 things of", "leave out 2 with --skip-unreadable or cut 1 with "
                       "--truncate", "nothing was changed") as refusal:  # fmt: skip
        if dry:
            look(origin, target)
        else:
            promote(origin, target, timeout=1, meter=METER, progress=stage.progress)
    details = refusal.value.details.splitlines()
    assert len(details) == 3
    for why, path in found.items():
        (line,) = (line for line in details if why in line)
        assert path.name in line
    assert not stage.home.stack("y").folder.exists()


@pytest.mark.parametrize(
    ("choice", "left"),
    [(SKIP, "cut 1 with --truncate"), (TRUNCATE, "leave out 2 with --skip-unreadable")],
)
def test_one_choice_is_not_the_other(stage: Stage, folder: Path, choice: Choice, left: str) -> None:
    spoiled(folder)
    with stage.refuses(2, left):
        into(stage, folder, choice)


def test_of_many_the_first_are_listed(stage: Stage, folder: Path) -> None:
    for number in range(30):
        (folder / "0" / RUN / "params" / f"{number}~").write_text("")
    with stage.refuses(2, "30 things of") as refusal:
        into(stage, folder)
    lines = refusal.value.details.splitlines()
    assert (len(lines), lines[-1]) == (21, "and 10 more")


def test_what_only_the_source_can_mend_has_no_choice(stage: Stage, folder: Path) -> None:
    (folder / "0" / "meta.yaml").write_text(f"experiment_id: '0'\nname: {'n' * 300}\n")
    with stage.refuses(
        2, "one thing of", "it has 300 characters, and 256 fit; mend it; nothing was changed"
    ) as refusal:
        into(stage, folder, SKIP, TRUNCATE)
    assert refusal.value.details == ""


def test_names_are_told_on_one_line(stage: Stage, folder: Path) -> None:
    bad = os.fsdecode(b"new\nline\xff")
    (folder / "0" / RUN / "artifacts" / bad).write_text("")
    with stage.refuses(2, "its name is no Unicode") as refusal:
        into(stage, folder)
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).encode()


def test_two_artifacts_of_a_bucket_are_not_one_in_a_folder(stage: Stage) -> None:
    x = stage.deployed("scenario-4", "name=x", runs=1)
    for name in ("0/run0/artifacts/a", "0/run0/artifacts/a/b"):
        stage.artifacts("x")[f"artifacts/{name}"] = b"x"
    origin = StackOrigin(x)
    target = destination(origin, stage.home, "scenario-3b", ["name=y"])
    with stage.refuses(2, "artifact 0/run0/artifacts/a/b: another has the name of its folder"):
        look(origin, target)
    assert look(origin, destination(origin, stage.home, "scenario-5", ["name=z"]))


def test_texts_of_a_stack_are_examined_where_they_are(stage: Stage) -> None:
    x = stage.deployed("scenario-3b", "name=x", runs=1)
    stage.database("x").tables["runs"].append("/elsewhere/" + "d" * 300)
    origin = StackOrigin(x)
    with stage.refuses(2, "runs.artifact_uri of a run: it has 311 characters, and 200 fit"):
        look(origin, destination(origin, stage.home, "scenario-5", ["name=y"]))
    assert look(origin, destination(origin, stage.home, "scenario-2", ["name=y"]))


# What the user wants.


def test_what_is_left_out_and_cut_is_told_one_by_one(stage: Stage, folder: Path) -> None:
    found = spoiled(folder)
    done = into(stage, folder, SKIP, TRUNCATE)
    told = [line for line in stage.told if line.startswith(("left out: ", "cut: "))]
    assert [line.partition(":")[0] for line in told] == ["left out", "cut", "left out"]
    for why, path in found.items():
        assert [path.name in line for line in told if why in line] == [True]
    assert set(stage.artifacts("y")) == {
        f"artifacts/0/{run}/artifacts/model.bin" for run in (RUN, "b" * 32)
    }
    assert (done.artifacts, stage.manifest("y").status) == (2, "deployed")


def test_a_run_that_is_left_out_is_not_missed(stage: Stage, folder: Path) -> None:
    """Neither it nor its artifacts count as lost."""
    (folder / "0" / RUN / "meta.yaml").write_text("")
    done = into(stage, folder, SKIP)
    assert done.counts["runs"] == 1
    assert set(stage.artifacts("y")) == {f"artifacts/0/{'b' * 32}/artifacts/model.bin"}


def test_nothing_is_cut_that_nobody_asked_for(stage: Stage, folder: Path) -> None:
    into(stage, folder)
    assert [told for told in stage.told if told.startswith(("left out", "cut"))] == []


def test_a_stack_of_files_is_read_without_what_cannot_be_read(stage: Stage, folder: Path) -> None:
    x = stage.deployed("scenario-1", "name=x")
    (folder / "0" / RUN / "meta.yaml").write_text("")
    root = x.data / "mlruns"
    for path in sorted(folder.rglob("*")):
        place = root / path.relative_to(folder)
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.write_bytes(path.read_bytes())
    origin = named(stage.home, "x", None, None, None, skip=True)
    target = destination(origin, stage.home, "scenario-5", ["name=y"])
    done = promote(origin, target, choices=[SKIP], timeout=1, meter=METER, progress=stage.progress)
    assert (origin.name, done.counts["runs"]) == ("stack 'x'", 1)
    assert origin.is_stack(x.stack)


def test_names_that_a_client_cannot_ask_for_are_told_where_a_server_stands_between(
    stage: Stage, folder: Path
) -> None:
    (folder / "0" / RUN / "artifacts" / "a#b.txt").write_text("hash")
    into(stage, folder)
    (told,) = (line for line in stage.told if "cannot ask a server for" in line)
    assert told.startswith("1 artifacts are copied under names that MLflow's client")
    assert f"artifacts/0/{RUN}/artifacts/a#b.txt" in stage.artifacts("y")


def test_they_are_not_told_where_clients_read_by_themselves(stage: Stage, folder: Path) -> None:
    (folder / "0" / RUN / "artifacts" / "a#b.txt").write_text("hash")
    into(stage, folder, scenario="scenario-3b")
    assert [line for line in stage.told if "cannot ask" in line] == []
