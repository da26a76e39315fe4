"""Artifacts at none of a stack's own places: taken where they can be read, and never unnamed."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from stackctl.archive import Archive
from stackctl.errors import LEFT_OUT, BadArchive
from stackctl.operations.elsewhere import Elsewhere, look
from stackctl.stores import tree
from stackctl.stores.base import Entry
from tests.conftest import Call
from tests.operations.stage import Stage
from tests.operations.test_restore import PORT, into


@pytest.fixture
def theirs(stage: Stage, tmp_path: Path) -> Path:
    """Where a run of experiment 7 of stack `x` has its artifacts, which has two more of its own."""
    stage.deployed("scenario-5", "name=x", runs=2)
    theirs = tmp_path / "the ir's/7"
    stage.database("x").tables["runs"].append(f"{theirs}/run7/artifacts")
    model = theirs / "run7/artifacts/model/weights.bin"
    model.parent.mkdir(parents=True)
    model.write_bytes(b"elsewhere")
    (theirs / "diary.txt").write_text("of somebody")
    return theirs


def about(path: Path) -> list[dict[str, Any]]:
    with Archive(path) as archive:
        archive.verify()
        return list(archive.manifest["elsewhere"])


def names(path: Path) -> set[str]:
    with Archive(path) as archive:
        return {member.name for member, _ in archive.members()}


def test_those_in_folders_of_this_machine_are_taken_and_nothing_beside_them(
    stage: Stage, theirs: Path
) -> None:
    path = stage.archived(stage.recorded("x"))
    (found,) = about(path)
    assert found == {
        "location": str(theirs), "experiment": "7", "name": "number 7", "counts": {"runs": 1},
        "files": 1, "bytes": 9, "why": "",
    }  # fmt: skip
    taken = {name for name in names(path) if name.startswith("artifacts/7/")}
    assert taken == {"artifacts/7/run7/artifacts/model/weights.bin"}


def test_a_restore_makes_them_the_stack_s_own_and_says_so(stage: Stage, theirs: Path) -> None:
    path = stage.archived(stage.recorded("x"))
    before = sorted(theirs.rglob("*"))
    into(stage, path, "y", PORT)
    assert "mlflow-artifacts:/7/run7/artifacts" in stage.database("y").tables["runs"]
    assert stage.artifacts("y")["artifacts/7/run7/artifacts/model/weights.bin"] == b"elsewhere"
    assert sorted(theirs.rglob("*")) == before
    assert stage.told[0] == (
        f"artifacts of 1 runs of experiment 'number 7' at {theirs} become the stack's own: "
        "1 files, 9 bytes"
    )


def lacks(stage: Stage, stackctl: Call, place: str, why: str) -> None:
    """A backup is made without what lies at `place`; message, exit code and manifest say so."""
    path = stage.home.path / "a.tar"
    answer = stackctl("backup", "x", "-o", str(path))
    assert (answer.code, answer.out) == (LEFT_OUT, f"{path}\n")
    assert f"experiment 'number 7' at {place} are not in the archive: {why}\n" in answer.err
    (found,) = about(path)
    assert (found["location"], found["files"], found["why"]) == (place, 0, why)
    assert not [name for name in names(path) if name.startswith("artifacts/7/")]
    into(stage, path, "y", PORT)
    assert f"at {place} are not in the archive: {why}" in stage.told[0]
    assert stage.database("y").tables["runs"] == [
        "mlflow-artifacts:/0/run0/artifacts", "mlflow-artifacts:/0/run1/artifacts",
        stage.database("x").tables["runs"][-1],
    ]  # fmt: skip


def test_what_is_in_another_bucket_is_named(stage: Stage, theirs: Path, stackctl: Call) -> None:
    stage.database("x").tables["runs"][-1] = "s3://theirs/7/run7/artifacts"
    unknown = "it is no folder of this machine, and the stack's keys do not open it"
    lacks(stage, stackctl, "s3://theirs/7", unknown)


def test_what_the_stack_s_own_keys_open_elsewhere_is_taken(
    stage: Stage, theirs: Path, stackctl: Call
) -> None:
    stage.database("x").tables["runs"][-1] = "s3://theirs/7/run7/artifacts"
    stage.machine.elsewhere["s3://theirs/7/run7/artifacts"] = {"a/b": b"elsew", "c": b"here"}
    path = stage.home.path / "a.tar"
    answer = stackctl("backup", "x", "-o", str(path))
    assert answer.code == 0
    assert "at s3://theirs/7 are in the archive: 2 files, 9 bytes\n" in answer.err
    (found,) = about(path)
    assert (found["files"], found["bytes"], found["why"]) == (2, 9, "")
    into(stage, path, "y", PORT)
    assert "mlflow-artifacts:/7/run7/artifacts" in stage.database("y").tables["runs"]
    assert stage.artifacts("y")["artifacts/7/run7/artifacts/a/b"] == b"elsew"


def test_an_object_whose_key_is_no_file_s_name_keeps_its_place_out(
    stage: Stage, theirs: Path, stackctl: Call
) -> None:
    stage.database("x").tables["runs"][-1] = "s3://theirs/7/run7/artifacts"
    stage.machine.elsewhere["s3://theirs/7/run7/artifacts"] = {"a/../b": b"odd", "c": b"here"}
    answer = stackctl("backup", "x", "-o", str(stage.home.path / "a.tar"))
    assert answer.code == LEFT_OUT
    assert (
        "are not in the archive: 'run7/artifacts/a/../b' can be no file's name (2 files, 7 bytes)"
        in answer.err
    )


def test_what_another_machine_has_is_named(stage: Stage, theirs: Path, stackctl: Call) -> None:
    theirs.rename(theirs.with_name("away"))
    lacks(stage, stackctl, str(theirs), "none of its folders is on this machine")


def test_what_this_user_cannot_read_is_named(
    stage: Stage, theirs: Path, stackctl: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root can read everything."""
    closed = theirs / "run7/artifacts/model/weights.bin"
    real = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode, **ids: path != closed and real(path, mode, **ids)
    )
    lacks(stage, stackctl, str(theirs), f"{closed}: Permission denied")


@pytest.mark.parametrize("at", ["run7/artifacts/model/link", "run7/artifacts/link", "run7"])
def test_a_link_out_of_the_place_is_not_followed(
    stage: Stage, theirs: Path, stackctl: Call, at: str
) -> None:
    """Whoever names a place and makes a link there need not be allowed to read what that is."""
    (theirs / "run7/artifacts/inside").symlink_to("model/weights.bin")
    hidden = theirs.parent / "hidden"
    if at == "run7":
        (theirs / at).rename(hidden)
    else:
        hidden.write_text("secret")
    (theirs / at).symlink_to(hidden)
    where = theirs / ("run7/artifacts" if at == "run7" else at)
    lacks(stage, stackctl, str(theirs), f"{where}: leads out of the place")


def test_a_link_that_is_made_meanwhile_is_not_followed(stage: Stage, theirs: Path) -> None:
    (found,) = look(stage.recorded("x"))
    path = theirs / "run7/artifacts/model/weights.bin"
    (theirs.parent / "hidden").write_text("secret")
    real = tree.opened

    def replaced(entries: Iterator[tuple[Entry, Path]]) -> Iterator[tuple[Entry, BinaryIO]]:
        def late() -> Iterator[tuple[Entry, Path]]:
            for each in entries:
                path.unlink()
                path.symlink_to(theirs.parent / "hidden")
                yield each

        return real(late())

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tree, "opened", replaced)
        with pytest.raises(OSError, match="leads out of the place"):
            list(found.content(stage.recorded("x"), lambda _: None))


def test_a_backup_that_lacks_nothing_ends_with_0(
    stage: Stage, theirs: Path, stackctl: Call
) -> None:
    answer = stackctl("backup", "x", "-o", str(stage.home.path / "a.tar"))
    assert answer.code == 0
    assert f"at {theirs} are in the archive: 1 files, 9 bytes\n" in answer.err


@pytest.mark.parametrize("number", ["../../etc", "", "1/2", "."])
def test_an_archive_does_not_say_where_they_go(
    stage: Stage, theirs: Path, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    real = Elsewhere.described
    monkeypatch.setattr(Elsewhere, "described", lambda e: {**real(e), "experiment": number})
    with pytest.raises(BadArchive, match=r"elsewhere\.0: .* is no id of an experiment"):
        stage.archived(stage.recorded("x"))
