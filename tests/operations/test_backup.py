"""Backup: everything in one archive, the database first; nothing is overwritten or left half."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stackctl.archive import Archive
from stackctl.errors import MachineError
from stackctl.operations.backup import backup, default_path, listed
from stackctl.versions import MLFLOW
from tests.operations.machine import files
from tests.operations.stage import HOW, METER, Stage


def test_the_database_comes_before_the_artifacts_and_the_stack_runs_on(
    stage: Stage, tmp_path: Path
) -> None:
    x = stage.deployed("scenario-5", "name=x", "workers=3", runs=2)
    stage.artifacts("x")["bucket/beside%2Fit"] = b"an object that is no artifact"
    before = stage.now()
    about = backup(x, tmp_path / "a.tar", meter=METER, progress=stage.progress)
    assert stage.machine.story == [
        "sweep", "count rows", "measure artifacts", "elsewhere", "dump database", "count rows",
        "elsewhere", "dump artifacts",
    ]  # fmt: skip
    assert stage.now() == before
    assert about["counts"] == {"experiments": [1, 1], "runs": [2, 2]}
    assert about["settings"]["workers"] == 3
    assert not {"name", "data", "runtime"} & set(about["settings"])
    assert (about["stack"], about["scenario"], about["mlflow"]) == ("x", "scenario-5", MLFLOW)
    with Archive(tmp_path / "a.tar") as archive:
        archive.verify()
        names = [member.name for member, _ in archive.members()]
    assert names[:2] == ["backup.json", "database/memory.json"]
    assert {"artifacts/0/run1/artifacts/model.bin", "bucket/beside%2Fit",
            "bundle/compose.yaml"} <= set(names)  # fmt: skip
    assert "secrets.age" not in names
    assert (tmp_path / "a.tar").stat().st_mode & 0o777 == 0o600


def test_what_clients_log_meanwhile_is_counted_as_perhaps_there(
    stage: Stage, tmp_path: Path
) -> None:
    x = stage.deployed("scenario-5", "name=x", runs=2)

    class Logging:
        def expect(self, what: str, total: int) -> None:
            stage.machine.logs(x.stack, x.root, runs=3)

        def advance(self, count: int) -> None:
            """Nothing."""

    assert backup(x, tmp_path / "a.tar", meter=Logging(), progress=stage.progress)["counts"][
        "runs"
    ] == [2, 5]


@pytest.mark.usefixtures("quick_seal")
def test_secrets_are_in_it_where_a_passphrase_is_given(stage: Stage, tmp_path: Path) -> None:
    x = stage.deployed("scenario-5", "name=x")
    backup(x, tmp_path / "a.tar", passphrase="hush", meter=METER, progress=stage.progress)
    with Archive(tmp_path / "a.tar") as archive:
        sealed = archive.text("secrets.age") or b""
    word, _, values = sealed.decode().partition(" ")
    assert word == "hush"
    assert json.loads(values[::-1]) == {
        name: x.secrets.read(name).reveal()
        for name in (
            "gateway_passphrase",
            "postgres_password",
            "s3_access_key",
            "s3_secret_key",
            "webhook_key",
        )
    }


def test_a_file_that_is_there_is_not_overwritten(stage: Stage, tmp_path: Path) -> None:
    x = stage.deployed("scenario-3b", "name=x")
    (tmp_path / "a.tar").write_text("mine")
    with stage.refuses(2, "there is a file of that name", "choose another with --output"):
        backup(x, tmp_path / "a.tar", meter=METER, progress=stage.progress)
    assert (tmp_path / "a.tar").read_text() == "mine"


def test_no_room_is_said_before_it_begins(
    stage: Stage, tmp_path: Path, no_room: Callable[[], None]
) -> None:
    x = stage.deployed("scenario-5", "name=x", runs=1)
    no_room()
    with stage.refuses(3, "the backup needs about", "nothing was changed"):
        backup(x, tmp_path / "not yet" / "a.tar", meter=METER, progress=stage.progress)
    assert not (tmp_path / "not yet").exists()


@pytest.mark.parametrize("how", HOW)
def test_one_that_ends_early_leaves_no_archive_and_changes_nothing(stage: Stage, how: str) -> None:
    """At whichever moment it is; the next is whole."""
    x = stage.deployed("scenario-5", "name=x", runs=1)
    path = default_path(stage.home, "x")
    world, disk = stage.machine.keep()
    for moment in stage.early_ends(
        how, lambda: backup(x, path, meter=METER, progress=stage.progress)
    ):
        assert not path.exists(), moment
        there = {n: f for n, f in files(stage.home.path).items() if not n.startswith("backups")}
        assert (stage.machine.world, there) == (world, disk), moment
        backup(x, path, meter=METER, progress=stage.progress)
        # Also where a process that was killed had begun with it.
        assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_a_store_that_fails_is_told(stage: Stage, tmp_path: Path) -> None:
    x = stage.deployed("scenario-5", "name=x")
    stage.machine.fails("dump database", MachineError("a program in service postgres failed"))
    with pytest.raises(MachineError, match="in service postgres failed"):
        backup(x, tmp_path / "a.tar", meter=METER, progress=stage.progress)
    assert [path.name for path in tmp_path.glob("*.tar")] == []


def test_an_archive_is_named_by_stack_and_time(stage: Stage) -> None:
    path = default_path(stage.home, "x")
    assert path.parent == stage.home.path / "backups"
    assert path.match("x-????????T??????Z.tar")


def test_archives_of_a_folder_are_listed_the_newest_last(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = stage.deployed("scenario-3b", "name=x")
    paths = [stage.archived(x, name) for name in ("b.tar", "a.tar")]
    (tmp_path / "broken.tar").write_bytes(paths[0].read_bytes()[:-9])
    (tmp_path / "note.txt").write_text("no archive")
    newest: dict[str, Any] = {"created": "2999"}
    real = Archive.__init__

    def opened(archive: Archive, path: Path) -> None:
        real(archive, path)
        archive.manifest |= newest if path == paths[1] else {"created": "2000"}

    monkeypatch.setattr(Archive, "__init__", opened)
    found = listed(tmp_path)
    assert [entry.path.name for entry in found] == ["broken.tar", "b.tar", "a.tar"]
    assert "cut short" in found[0].problem
    assert [entry.manifest.get("stack") for entry in found] == [None, "x", "x"]
    assert [entry.path for entry in listed(paths[0])] == [paths[0]]
    assert listed(tmp_path / "none") == []


def test_an_archive_that_cannot_be_read_is_listed_with_the_reason(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stage.archived(stage.deployed("scenario-3b", "name=x"))

    def closed(_: Archive, path: Path) -> None:
        raise MachineError(f"archive {path} cannot be opened")

    monkeypatch.setattr(Archive, "__init__", closed)
    assert [entry.problem for entry in listed(path)] == [f"archive {path} cannot be opened"]
