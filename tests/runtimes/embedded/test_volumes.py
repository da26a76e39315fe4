"""Folders in which services keep their data."""

import os
import pwd
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackctl.errors import UserError
from stackctl.runtimes.embedded import components, volumes
from stackctl.stack import Home, Manifest, Stack
from tests.bundles import effective

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files to others")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for what another user must reach, which does not exist yet."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setattr(components, "SYSTEM_FOLDER", Path(folder) / "system")
        yield Path(folder) / "system"


def made(stack: Stack, name: str, path: Path, **description: str) -> Stack:
    """The stack with a volume that was deployed."""
    volumes.make_all(stack, {name: {"volume": str(path), **description}})
    manifest = Manifest("one", "scenario-5", "embedded", stack.owner, deployed_at="2026-11-21",
                        home=str(stack.home.path), kept={"volumes": {name: str(path)}})  # fmt: skip
    stack.save(manifest)
    return stack


def test_a_volume_is_in_the_data_folder_for_its_owner_alone(home: Home) -> None:
    settings = effective("scenario-5").settings
    path = volumes.folder(home.stack("one"), settings, "objects", "")
    assert path == home.path / "data" / "one" / "objects"
    stack = made(home.stack("one"), "objects", path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert volumes.of_stack(stack) == {"objects": path}
    volumes.refuse_foreign(stack, "objects", path)


def test_a_volume_stays_where_it_was_made(home: Home, tmp_path: Path) -> None:
    stack = made(home.stack("one"), "objects", tmp_path / "elsewhere")
    settings = effective("scenario-5", "data=/srv/other").settings
    assert volumes.folder(stack, settings, "objects", "") == tmp_path / "elsewhere"


@as_root
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_the_user_of_a_database_reaches_its_volume_whatever_roots_umask_is(
    home: Home, system: Path, umask: int
) -> None:
    """The home of these tests is open to root alone."""
    stack = home.stack("one")
    path = volumes.folder(stack, effective("scenario-5").settings, "postgres", "nobody")
    assert path == system / stack.owner / "postgres"
    before = os.umask(umask)
    try:
        made(stack, "postgres", path, user="nobody", folder=str(path.parent / "run" / "postgres"))
    finally:
        os.umask(before)
    assert path.stat().st_uid == pwd.getpwnam("nobody").pw_uid
    for folder in (path, path.parent / "run" / "postgres"):
        done = subprocess.run(
            [*NOBODY, "touch", f"{folder}/x"], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")


@as_root
def test_a_volume_that_its_user_reaches_is_in_the_data_folder_though_root_deploys(
    home: Home, system: Path
) -> None:
    with tempfile.TemporaryDirectory() as data:
        Path(data).chmod(0o755)
        settings = effective("scenario-5", f"data={data}/x").settings
        found = volumes.folder(home.stack("one"), settings, "postgres", "nobody")
    assert found == Path(data) / "x" / "postgres"


def test_a_folder_that_holds_somebodys_files_is_refused_and_an_empty_one_is_not(
    home: Home, tmp_path: Path
) -> None:
    stack = home.stack("one")
    (tmp_path / "empty").mkdir()
    volumes.refuse_foreign(stack, "objects", tmp_path / "empty")
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs" / "precious").touch()
    with pytest.raises(UserError, match="does not belong to stack 'one'"):
        volumes.refuse_foreign(stack, "objects", tmp_path / "theirs")
    made(home.stack("two"), "objects", tmp_path / "of two")
    with pytest.raises(UserError, match="does not belong to stack 'one'"):
        volumes.refuse_foreign(stack, "objects", tmp_path / "of two")
    assert volumes.of_stack(home.stack("one")) == {}


def test_a_volume_that_is_gone_is_told_and_not_made_anew(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "disk" / "objects"
    stack = made(home.stack("one"), "objects", path)
    (tmp_path / "disk").rename(tmp_path / "unmounted")
    with pytest.raises(UserError, match="with the data of service objects is gone") as error:
        volumes.refuse_foreign(stack, "objects", path)
    assert "is a disk not mounted?" in error.value.hint
    assert volumes.of_stack(stack) == {}


def test_the_data_of_another_major_version_of_postgresql_are_refused(
    home: Home, tmp_path: Path
) -> None:
    stack = made(home.stack("one"), "postgres", tmp_path / "pg")
    for version, refused in (("18", False), ("17", True)):
        data = tmp_path / "pg" / version / "docker"
        data.mkdir(parents=True)
        (data / "PG_VERSION").write_text(f"{version}\n")
        if not refused:
            volumes.refuse_foreign(stack, "postgres", tmp_path / "pg")
            continue
        with pytest.raises(UserError, match="was made by PostgreSQL 17, and this stackctl brings"):
            volumes.refuse_foreign(stack, "postgres", tmp_path / "pg")
