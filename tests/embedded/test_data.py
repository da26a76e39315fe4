"""Backup, restore and drill, on stacks that cost little: what is the same on Docker is here."""

import json
import os
import re
import shutil
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import psutil
import pytest

from stackctl.archive import Archive
from stackctl.errors import LEFT_OUT
from tests.contract.bucket import bucket
from tests.contract.driving import ONE_WORKER, Deployed, User, free_port, until, words
from tests.disk import small_disk

KEYS = ("s3_access_key", "s3_secret_key")
HOSTILE = ["with blank", "größe.txt", "new\nline", "quo'te\".bin", "-o", "x" * 200]


def put_artifacts(deployed: Deployed) -> None:
    """Hostile names beside what the client wrote: a local store is a folder."""
    run = json.loads(deployed.user.state(deployed.name).read_text())["run"]
    data = deployed.user.home / "data" / deployed.name
    (folder,) = data.glob(f"mlruns/*/{run}/artifacts")
    hostile = folder / "notes" / "höstile"
    hostile.mkdir()
    for number, name in enumerate(HOSTILE):
        (hostile / name).write_bytes(os.urandom(number * 1000))
    (hostile / "empty folder").mkdir()
    (hostile / "link").symlink_to(hostile / HOSTILE[0])
    (hostile / "nowhere").symlink_to("missing")
    (hostile / "loop").symlink_to(hostile)


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every file of a folder, and its content; None for a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
        if path.exists() and path.name != "loop"
    }


def logged(folder: Path) -> list[dict[str, bytes | None]]:
    """The artifacts of each run that has some; stackctl's own checks leave none."""
    return [found for path in sorted(folder.glob("*/*/artifacts")) if (found := tree(path))]


@pytest.fixture(scope="class")
def archived(deployed: Deployed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of the class's stack."""
    path = tmp_path_factory.mktemp("archives") / "a.tar"
    deployed.user.ok("backup", deployed.name, "-o", str(path))
    return path


@pytest.fixture
def backup(archived: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copy(archived, tmp_path / "copy.tar"))


@pytest.fixture
def restored(person: User, name: str) -> Iterator[tuple[User, str]]:
    """A name for the stack that is restored."""
    yield person, name
    for path in (person.home / "backups").glob("*"):
        path.unlink()


def restore(user: User, archive: Path, name: str, *more: str) -> None:
    user.ok("restore", str(archive), "--name", name, "--port", str(free_port()), *more)


class LocalStore:
    """What a stack on a folder of the machine goes through."""

    settings: ClassVar = ONE_WORKER

    def test_another_stack_has_it_all_when_the_first_is_gone(
        self, deployed: Deployed, restored: tuple[User, str], tmp_path: Path
    ) -> None:
        user, name = restored
        put_artifacts(deployed)
        archive = tmp_path / "a.tar"
        done = user.run("backup", deployed.name, "-o", str(archive))
        assert "nowhere leads nowhere and was left out" in done.stderr
        assert "loop leads back to a folder that it is in and was left out" in done.stderr
        restore(user, archive, name)
        before = user.home / "data" / deployed.name / "mlruns"
        artifacts = logged(before)
        # The database's own places would lead there.
        before.rename(hidden := tmp_path / "hidden")
        try:
            shutil.copy(user.state(deployed.name), user.state(name))
            user.client("read", name)
        finally:
            if before.exists():
                shutil.rmtree(before)
            hidden.rename(before)
        after = user.home / "data" / name / "mlruns"
        assert logged(after) == artifacts
        assert str(before) not in user.ok("show", name)

    def test_it_can_be_rehearsed(self, deployed: Deployed, backup: Path) -> None:
        told = deployed.user.ok("drill", str(backup))
        assert "can be restored" in told
        assert re.search(r"1 runs, .* [1-9]\d* artifacts are equal; a restore takes \d+ s", told)
        assert [s["name"] for s in json.loads(deployed.user.ok("show", "--json"))] == [
            deployed.name
        ]


class TestFiles(LocalStore):
    scenario = "scenario-3a"
    rarely = ("test_it_can_be_rehearsed",)


class TestSQLite(LocalStore):
    scenario = "scenario-3b"
    # Decisions, which tests/operations show with a fake runtime.
    rarely = (
        "test_another_stack_has_it_all_when_the_first_is_gone",
        "test_an_archive_of_another_kind_is_refused",
        "test_data_that_a_new_stack_finds_are_not_replaced",
    )

    @pytest.mark.matrix
    def test_a_stack_that_holds_data_is_refused(self, deployed: Deployed, backup: Path) -> None:
        done = deployed.user.run("restore", str(backup))
        assert done.returncode == 2
        assert "holds data" in done.stderr
        deployed.user.client("read", deployed.name)

    @pytest.mark.matrix
    def test_what_is_replaced_is_backed_up_first(
        self, deployed: Deployed, backup: Path, restored: tuple[User, str]
    ) -> None:
        user, name = restored
        user.ok(*words("scenario-3b", name, *ONE_WORKER))
        user.ok("example", "quickstart", name)
        user.ok("restore", str(backup), "--name", name, "--replace")
        shutil.copy(user.state(deployed.name), user.state(name))
        user.client("read", name)
        (kept,) = (user.home / "backups").iterdir()
        assert kept.name.startswith(f"{name}-before-restore-")
        with Archive(kept) as archive:
            archive.verify()
            paths = [entry.path for entry, _ in archive.section("artifacts")]
        assert any(path.endswith("outputs/test.txt") for path in paths)

    def test_an_archive_of_another_kind_is_refused(
        self, backup: Path, restored: tuple[User, str]
    ) -> None:
        user, name = restored
        user.ok(*words("scenario-3a", name, *ONE_WORKER))
        done = user.run("restore", str(backup), "--name", name)
        assert done.returncode == 2
        assert "holds backend of kind 'sqlite', and scenario-3a has 'files'" in done.stderr

    @pytest.mark.matrix
    def test_a_damaged_archive_changes_nothing(
        self, backup: Path, restored: tuple[User, str]
    ) -> None:
        user, name = restored
        content = bytearray(backup.read_bytes())
        content[len(content) // 2] ^= 1
        backup.write_bytes(content)
        before = tree(user.home)
        for command in (["backup", "verify"], ["drill"], ["restore", "--name", name]):
            done = user.run(*command, str(backup))
            assert done.returncode == 2, done.stderr
            assert "differs from its checksum" in done.stderr
        assert tree(user.home) == before

    @pytest.mark.matrix
    def test_no_room_is_said_before_it_begins(self, deployed: Deployed, tmp_path: Path) -> None:
        with small_disk(tmp_path / "disk") as disk:
            done = deployed.user.run("backup", deployed.name, "-o", str(disk / "a.tar"))
            assert done.returncode == 3
            assert "the backup needs about" in done.stderr
            assert not list(disk.iterdir())

    @pytest.mark.matrix
    def test_a_file_that_is_there_is_not_overwritten(
        self, deployed: Deployed, backup: Path
    ) -> None:
        content = backup.read_bytes()
        done = deployed.user.run("backup", deployed.name, "-o", str(backup))
        assert done.returncode == 2
        assert backup.read_bytes() == content

    @pytest.mark.matrix
    def test_memory_stays_small(self, deployed: Deployed, tmp_path: Path) -> None:
        """With an artifact of 1 GB, which is a hole in the disk."""
        data = deployed.user.home / "data" / deployed.name / "mlruns"
        big = next(data.glob("*/*/artifacts")) / "big.bin"
        with big.open("wb") as file:
            file.truncate(1_000_000_000)
        archive = tmp_path / "a.tar"
        process = deployed.user.start("backup", deployed.name, "-o", str(archive))
        most = 0
        try:
            while process.poll() is None:
                with_children = [psutil.Process(process.pid)]
                try:
                    with_children += with_children[0].children(recursive=True)
                    most = max(most, *(each.memory_info().rss for each in with_children))
                except psutil.NoSuchProcess:
                    pass
                time.sleep(0.02)
            assert process.returncode == 0
            assert archive.stat().st_size > 1_000_000_000
        finally:
            big.unlink()
            archive.unlink(missing_ok=True)
            process.communicate()
        assert 10_000_000 < most < 200_000_000

    @pytest.mark.matrix
    def test_archives_are_listed_by_folder_and_by_file(
        self, deployed: Deployed, archived: Path, tmp_path: Path
    ) -> None:
        for place in (archived, archived.parent):
            told = deployed.user.ok("backup", "list", str(place))
            assert re.search(rf"{archived.name} +{deployed.name} +{deployed.scenario} ", told)
        assert "a.tar" not in deployed.user.ok("backup", "list", str(tmp_path))
        assert deployed.user.run("backup", "list", str(tmp_path / "none")).returncode == 2

    @pytest.mark.matrix
    def test_a_backup_that_is_killed_leaves_no_archive(
        self, deployed: Deployed, tmp_path: Path
    ) -> None:
        archive = tmp_path / "sub" / "a.tar"
        process = deployed.user.start("backup", deployed.name, "-o", str(archive))
        until(lambda: list(archive.parent.glob(".*.part")), seconds=30, what="the first bytes")
        process.kill()
        process.communicate()
        assert not archive.exists()
        deployed.user.ok("backup", deployed.name, "-o", str(archive))
        deployed.user.ok("backup", "verify", str(archive))
        assert [path.name for path in archive.parent.iterdir()] == ["a.tar"]
        data = deployed.user.home / "data" / deployed.name
        assert not list(data.glob(".stackctl-copy-*"))

    @pytest.mark.matrix
    def test_a_restore_that_is_killed_is_done_by_the_next(
        self, deployed: Deployed, backup: Path, restored: tuple[User, str]
    ) -> None:
        user, name = restored
        command = ("restore", str(backup), "--name", name, "--port", str(port := free_port()))
        process = user.start(*command)
        stack = user.stack(name)

        def status() -> str:
            manifest = stack.manifest()
            return manifest.status if manifest else ""

        until(lambda: status() == "restoring", seconds=60, what="the restore")
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert user.show(name)["state"] == "restoring"
        refused = user.run("deploy", "scenario-3b", "--name", name, "--port", str(port))
        assert refused.returncode == 2
        assert "half restored" in refused.stderr
        user.ok(*command)
        assert user.show(name)["state"] == "running"
        shutil.copy(user.state(deployed.name), user.state(name))
        user.client("read", name)

    def test_data_that_a_new_stack_finds_are_not_replaced(
        self, deployed: Deployed, backup: Path, restored: tuple[User, str]
    ) -> None:
        user, name = restored
        data = user.home / "data" / name
        (data / "mlruns").mkdir(parents=True)
        source = user.home / "data" / deployed.name / "mlruns.db"
        with (
            closing(sqlite3.connect(source)) as old,
            closing(sqlite3.connect(data / "mlruns.db")) as new,
        ):
            old.backup(new)
        done = user.run("restore", str(backup), "--name", name, "--port", str(free_port()))
        assert done.returncode == 2
        assert "holds data" in done.stderr
        with closing(sqlite3.connect(data / "mlruns.db")) as db:
            assert db.execute("SELECT count(*) FROM runs WHERE name = 'größe'").fetchone() == (1,)
        user.ok("remove", name)
        shutil.rmtree(data)

    @pytest.mark.matrix
    def test_another_stack_of_a_drills_name_is_left_alone(
        self, deployed: Deployed, backup: Path, person: User
    ) -> None:
        name = f"{deployed.name[:20]}-drill"
        folder = person.home / ".stackctl" / name
        folder.mkdir()
        done = person.run("drill", str(backup))
        assert done.returncode == 2
        assert "which no drill made" in done.stderr
        folder.rmdir()


class TestDatabaseAndBucket:
    scenario: ClassVar[str] = "scenario-5"
    rarely: ClassVar = ("test_secrets_travel_encrypted",)
    settings: ClassVar = (*ONE_WORKER, "--set", "auth=basic")

    @pytest.mark.matrix
    def test_a_new_stack_has_its_own_login(
        self, backup: Path, deployed: Deployed, restored: tuple[User, str]
    ) -> None:
        user, name = restored
        restore(user, backup, name)
        folder = user.home / ".secrets"
        passwords = [(folder / stack / "admin_password").read_text()
                     for stack in (deployed.name, name)]  # fmt: skip
        assert passwords[0] != passwords[1]
        shutil.copy(user.state(deployed.name), user.state(name))
        user.client("read", name)

    def test_secrets_travel_encrypted(
        self, deployed: Deployed, restored: tuple[User, str], tmp_path: Path
    ) -> None:
        user, name = restored
        archive, right, wrong = (tmp_path / x for x in ("a.tar", "right", "wrong"))
        right.write_text("correct horse battery\n")
        wrong.write_text("staple\n")
        told = user.run("backup", deployed.name, "-o", str(archive), "--with-secrets",
                        "--passphrase-file", str(right))  # fmt: skip
        assert told.returncode == 0, told.stderr
        secrets = user.home / ".secrets" / deployed.name
        content = archive.read_bytes()
        for path in secrets.iterdir():
            assert path.read_bytes() not in content
        refused = user.run("restore", str(archive), "--name", name, "--with-secrets",
                           "--passphrase-file", str(wrong))  # fmt: skip
        assert refused.returncode == 2
        assert "cannot be opened with this passphrase" in refused.stderr
        assert not user.stack(name).folder.exists()
        assert not (user.home / ".secrets" / name).exists()
        restore(user, archive, name, "--with-secrets", "--passphrase-file", str(right))
        mine = user.home / ".secrets" / name
        assert tree(mine).keys() == tree(secrets).keys()
        for own in mine.iterdir():
            # A file of a server's own names the stack's own port.
            assert own.suffix or own.read_bytes() == (secrets / own.name).read_bytes()

    def test_what_was_acknowledged_before_the_backup_is_in_it(
        self, deployed: Deployed, restored: tuple[User, str], tmp_path: Path
    ) -> None:
        """While eight clients log."""
        user, name = restored
        archive = tmp_path / "a.tar"
        states = [tmp_path / f"{number}-of-8.json" for number in range(8)]
        clients = user.start_client("crowd", deployed.name, tmp_path / "of-8.json")
        try:
            for state in states:
                until(state.exists, seconds=120, what="a client that logs")
            before = [json.loads(state.read_text()) for state in states]
            user.ok("backup", deployed.name, "-o", str(archive))
        finally:
            for state in states:
                state.with_suffix(".stop").touch()
            output, _ = clients.communicate(timeout=120)
        assert clients.returncode == 0, output[-3000:]
        restore(user, archive, name)
        acknowledged = tmp_path / "acknowledged.json"
        acknowledged.write_text(json.dumps(before))
        done = user.start_client("whole", name, acknowledged)
        output, _ = done.communicate(timeout=300)
        assert done.returncode == 0, output[-3000:]


class Strays:
    """Clients name places for artifacts that are none of the stack's own."""

    settings: ClassVar = ONE_WORKER

    def test_artifacts_that_lie_elsewhere_are_taken_along_or_named(
        self, deployed: Deployed, restored: tuple[User, str], tmp_path: Path
    ) -> None:
        user, name = restored
        user.client("stray", deployed.name)
        self.beside(deployed)
        archive = tmp_path / "a.tar"
        done = user.run("backup", deployed.name, "-o", str(archive))
        assert done.returncode == LEFT_OUT
        taken = "else whëre are in the archive: 1 files, 7 bytes"
        left = "at s3://theirs/x are not in the archive: it is no folder of this machine"
        assert taken in done.stderr
        assert left in done.stderr
        restore(user, archive, name)
        theirs = user.home / "client/else whëre"
        theirs.rename(theirs.with_name("hidden"))
        shutil.copy(user.state(deployed.name), user.state(name))
        user.client("strayed", name)
        self.came(user, name)

    def beside(self, deployed: Deployed) -> None:
        """Log at another place still."""

    def came(self, user: User, name: str) -> None:
        """What was there is the restored stack's own."""


class TestStraysOfFiles(Strays):
    scenario = "scenario-3a"


@pytest.mark.matrix
class TestStraysOfADatabase(Strays):
    """What is in another bucket, which the stack's own keys open, is taken too."""

    scenario = "scenario-5"

    def beside(self, deployed: Deployed) -> None:
        keys = (deployed.stack.secrets.read(name).reveal() for name in KEYS)
        store = bucket(deployed, *keys)
        store.create_bucket(Bucket="beside")
        deployed.user.client("log beside", deployed.name)
        state = json.loads(deployed.user.state(deployed.name).read_text())
        place = f"y/{state['beside']}/artifacts"
        for name in (f"{place}/notes/text.txt", f"{place}/", "y/diary.txt"):
            content = b"" if name.endswith("/") else b"beside\n"
            store.put_object(Bucket="beside", Key=name, Body=content)

    def came(self, user: User, name: str) -> None:
        user.client("came from beside", name)
