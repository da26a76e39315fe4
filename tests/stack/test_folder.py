"""A stack's folder: manifest, lock, and files that are replaced whole or not at all."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stackctl.errors import Busy, MachineError, StackctlError, UnknownName, UserError
from stackctl.runtimes.embedded import folders
from stackctl.stack import Home, Manifest, Stack, write_files
from tests.disk import full, small_disk

MANIFEST = Manifest(
    name="one",
    scenario="scenario-5",
    runtime="docker",
    owner="owner-of-ada",
    status="deployed",
    settings={"name": "one", "images": {"postgres": "postgres:18"}, "public_hosts": ["a", "b"]},
    mlflow="3.17.2",
    data="/home/ada/größe",
    data_created=True,
    secrets=("a", "b"),
    deployed_at="2026-11-21T10:00:00+00:00",
)


def deployed(home: Home, *names: str) -> list[Stack]:
    """Stacks that have a manifest."""
    stacks = [home.stack(name) for name in names]
    for stack in stacks:
        stack.save(MANIFEST.with_(name=stack.name, owner=stack.owner))
    return stacks


def tree(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


# Manifest.


def test_a_manifest_is_read_as_it_was_saved(home: Home) -> None:
    stack = home.stack("one")
    assert stack.manifest() is None
    stack.save(MANIFEST)
    assert stack.manifest() == stack.require_manifest() == MANIFEST
    assert stat.S_IMODE((stack.folder / "manifest.json").stat().st_mode) == 0o600
    stack.save(MANIFEST.with_(status="removed"))
    assert stack.require_manifest().status == "removed"


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "null", "[]", "3", '"x"', "{}", '{"name": "one"}', '{"secrets": []}',
        '{"secrets": 3, "name": "one"}', b"\xff\xfe",
    ],
)  # fmt: skip
def test_a_damaged_manifest_is_named_and_is_the_machines_fault(
    home: Home, text: str | bytes
) -> None:
    (stack,) = deployed(home, "one")
    path = stack.folder / "manifest.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(MachineError, match="is damaged") as error:
        stack.manifest()
    assert str(path) in str(error.value)
    assert "data and the secrets do not depend on it" in error.value.hint


def test_an_unknown_entry_of_a_newer_version_is_told_not_ignored(home: Home) -> None:
    (stack,) = deployed(home, "one")
    path = stack.folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "from_the_future": 1}))
    with pytest.raises(MachineError, match="from_the_future"):
        stack.manifest()


def test_a_stack_that_was_never_deployed_says_so(home: Home) -> None:
    with pytest.raises(UserError, match="stack 'two' was never deployed"):
        home.stack("two").require_manifest()


def test_the_owner_survives_moving_the_home_folder(home: Home, tmp_path: Path) -> None:
    (stack,) = deployed(home, "one")
    owner = stack.owner
    moved = Home(Path(shutil.move(home.path, tmp_path / "moved")))
    assert moved.stack("one").owner == owner
    assert moved.stack("two").owner != home.stack("two").owner


def test_two_homes_and_two_stacks_have_four_owners(tmp_path: Path) -> None:
    owners = {Home(tmp_path / home).stack(name).owner for home in "ab" for name in "xy"}
    assert len(owners) == 4


# Which stack.


def test_the_only_stack_is_the_one_that_is_meant(home: Home) -> None:
    deployed(home, "one")
    assert home.choose(None).name == "one"
    assert home.choose("one").name == "one"


def test_without_a_stack_it_says_how_to_get_one(home: Home) -> None:
    with pytest.raises(UserError, match=r"no stack was deployed from .*; run: stackctl deploy"):
        home.choose(None)
    with pytest.raises(UserError, match="there is no stack 'one': none was deployed from"):
        home.choose("one")


def test_of_several_stacks_one_must_be_named(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    deployed(home, "one", "two", "three")
    with pytest.raises(UserError, match="there are 3 stacks: one, three, two; name one of them"):
        home.choose(None)
    assert home.choose("two").name == "two"
    with pytest.raises(UnknownName, match="no stack 'tow'; did you mean 'two'"):
        home.choose("tow")
    monkeypatch.setenv("STACKCTL_STACK", "three")
    assert home.choose(None).name == "three"
    assert home.choose("one").name == "one"


def test_a_folder_without_a_manifest_is_no_stack(home: Home) -> None:
    deployed(home, "one")
    home.stack("two").folder.mkdir()
    assert [stack.name for stack in home.stacks()] == ["one"]


# Which home.


def test_the_home_may_have_nothing_but_what_was_chosen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STACKCTL_HOME", raising=False)
    chosen, below = tmp_path / "chosen", tmp_path / "chosen/a/b"
    below.mkdir(parents=True)
    (chosen / "stackctl.toml").touch()
    monkeypatch.chdir(below)
    assert Home.find() == Home(chosen)
    # Neither of the two by its name alone.
    (chosen / "a/.stackctl").touch()
    (below / "stackctl.toml").mkdir()
    assert Home.find() == Home(chosen)


def test_the_home_is_the_nearest_upwards_that_has_stacks(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = home.path / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert Home.find().path == below
    deployed(home, "one")
    assert Home.find() == home


def test_the_home_can_be_given_by_flag_before_environment(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("STACKCTL_HOME", str(tmp_path / "other"))
    assert Home.find().path == tmp_path / "other"
    assert Home.find(home.path) == home
    with pytest.raises(UserError, match="nowhere' does not exist; create it first"):
        Home.find(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("setting", "below"),
    [("", "HOME/data/one"), ("mine", "HOME/mine"), ("/srv/x", "/srv/x"), ("~/x", "/root-of-ada/x")],
)
def test_the_data_folder_is_below_the_home_unless_it_is_absolute(
    home: Home, setting: str, below: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/root-of-ada")
    assert home.stack("one").data(setting) == Path(below.replace("HOME", str(home.path)))


# Lock.

HOLDER = """
import sys
from pathlib import Path
from stackctl.stack import Home
with Home(Path(sys.argv[1])).stack(sys.argv[2]).locked():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def hold(home: Home) -> Iterator[Callable[[str], "subprocess.Popen[str]"]]:
    """Lock a stack in a process of its own; it holds it until its standard input ends."""
    started: list[subprocess.Popen[str]] = []

    def holding(name: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(home.path), name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        return process

    yield holding
    for process in started:
        process.kill()
        process.communicate()


def test_a_second_process_is_told_that_the_stack_is_busy(
    home: Home, hold: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    process = hold("one")
    with pytest.raises(Busy, match="another stackctl is working on stack 'one'") as error:
        home.stack("one").locked().__enter__()
    assert error.value.exit_code == 3
    with home.stack("two").locked():
        pass
    process.communicate(timeout=30)
    with home.stack("one").locked():
        pass


def test_the_lock_of_a_killed_process_is_free(
    home: Home, hold: Callable[[str], "subprocess.Popen[str]"]
) -> None:
    process = hold("one")
    process.send_signal(signal.SIGKILL)
    assert process.wait(timeout=30) == -signal.SIGKILL
    assert (home.stack("one").folder / "lock").exists()
    with home.stack("one").locked(), pytest.raises(Busy):
        home.stack("one").locked().__enter__()


def test_a_lock_is_given_back_after_an_error(home: Home) -> None:
    stack = home.stack("one")
    with pytest.raises(RuntimeError, match="inside"), stack.locked():
        raise RuntimeError("inside")
    with stack.locked():
        pass


def test_a_folder_that_cannot_be_made_is_named(home: Home) -> None:
    (home.path / ".stackctl").write_text("a file")
    with pytest.raises(MachineError, match=r"\.stackctl/one cannot be written"):
        home.stack("one").locked().__enter__()


def test_forget_takes_the_stack_and_leaves_others_and_data(home: Home) -> None:
    one, two = deployed(home, "one", "two")
    one.secrets.ensure(["postgres_password"])
    one.forget()
    assert [stack.name for stack in home.stacks()] == ["two"]
    assert one.secrets.read("postgres_password").reveal()
    two.forget()
    assert not (home.path / ".stackctl").exists()


# Files.


def test_files_are_written_with_their_modes_and_nothing_else_is_left(tmp_path: Path) -> None:
    write_files(tmp_path / "x", {"a": ("1\n", 0o600), "b/c.sh": ("2\n", 0o755)})
    assert tree(tmp_path) == {"x/a": "1\n", "x/b/c.sh": "2\n"}
    assert stat.S_IMODE((tmp_path / "x/a").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "x/b/c.sh").stat().st_mode) == 0o755
    write_files(tmp_path / "x", {"a": ("3\n", 0o644)})
    assert tree(tmp_path) == {"x/a": "3\n", "x/b/c.sh": "2\n"}


def test_a_full_disk_changes_no_file(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        target = disk / "bundle"
        write_files(target, {"a": ("old a", 0o644), "b": ("old b", 0o644)})
        before = tree(target)
        with (
            full(disk, room=4096),
            pytest.raises(MachineError, match="bundle cannot be written: ") as error,
        ):
            write_files(target, {"a": ("new", 0o644), "b": ("new" * 5000, 0o644), "c": ("", 0o644)})
        assert error.value.exit_code == 3
        assert tree(target) == before
        write_files(target, {"a": ("new", 0o644)})
        assert tree(target) == {**before, "a": "new"}


def test_a_full_disk_keeps_the_manifest(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        stack = Home(disk).stack("one")
        stack.save(MANIFEST)
        with full(disk), pytest.raises(MachineError):
            stack.save(MANIFEST.with_(status="removed"))
        assert stack.manifest() == MANIFEST


@pytest.mark.parametrize("obstacle", ["folder where a file goes", "file where a folder goes"])
def test_an_obstacle_changes_no_file(tmp_path: Path, obstacle: str) -> None:
    write_files(tmp_path, {"a": ("old", 0o644)})
    if obstacle.startswith("folder"):
        (tmp_path / "z").mkdir()
    else:
        (tmp_path / "y").write_text("in the way")
    before = tree(tmp_path)
    with pytest.raises(MachineError, match="cannot be written"):
        write_files(tmp_path, {"a": ("new", 0o644), "y/x": ("1", 0o644), "z": ("2", 0o644)})
    assert tree(tmp_path) == before


def test_a_symlink_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("keep me")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a").symlink_to(tmp_path / "precious")
    write_files(tmp_path / "x", {"a": ("new", 0o644)})
    assert tree(tmp_path) == {"precious": "keep me", "x/a": "new"}


def test_a_manifest_that_this_user_may_not_read_is_no_bug(home: Home) -> None:
    (stack,) = deployed(home, "one")
    path = stack.folder / "manifest.json"
    path.unlink()
    path.mkdir()
    with pytest.raises(StackctlError, match=r"manifest\.json cannot be read: Is a directory"):
        stack.manifest()
    assert os.path.lexists(path)


def test_a_home_of_somebody_else_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, mine = tmp_path / "theirs", tmp_path / "theirs" / "mine"
    mine.mkdir(parents=True)
    (theirs / ".stackctl").mkdir()
    monkeypatch.delenv("STACKCTL_HOME", raising=False)
    monkeypatch.chdir(mine)
    assert Home.find().path == theirs
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert Home.find().path == mine


def test_the_data_folder_moves_with_the_home_and_no_other_does(tmp_path: Path) -> None:
    stack = Home(tmp_path / "new").stack("x")
    manifest = Manifest("x", "scenario-3b", "docker", "o", data="/old/data/x", home="/old")
    assert stack.data_folder(manifest) == tmp_path / "new" / "data" / "x"
    elsewhere = manifest.with_(data="/mnt/big/x")
    assert stack.data_folder(elsewhere) == Path("/mnt/big/x")
    assert stack.data_folder(manifest.with_(data="")) is None


def test_the_folders_of_volumes_move_with_the_home_and_no_others_do(tmp_path: Path) -> None:
    stack = Home(tmp_path / "new").stack("x")
    volumes = {"postgres": "/var/lib/stackctl/owner/postgres", "objects": "/old/data/x/objects"}
    kept = {"volumes": volumes}
    stack.save(Manifest("x", "scenario-5", "embedded", "o", home="/old", kept=kept))
    assert folders.volumes(stack)["objects"] == tmp_path / "new" / "data" / "x" / "objects"
    assert folders.volumes(stack)["postgres"] == Path("/var/lib/stackctl/owner/postgres")
    assert "mysql" not in folders.volumes(stack)
