"""The files of secrets that change, cut short at every line that is run."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from stackctl.secrets import SecretFolder
from stackctl.secrets.rotation import Handover, open_names

PAIR = ("s3_access_key", "s3_secret_key")
# What only reads changes nothing between two lines.
READS = {"read", "_read", "_has", "_checked", "check_folder", "generate", "placeholders"}


class Door:
    """Takes one set of values; it is changed as a service is, which was told them before."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def values(self) -> list[str]:
        return list(json.loads(self.path.read_text()))

    def change(self, old: list[str] | None, new: list[str]) -> None:
        if self.values != new:
            assert self.values == old, "locked out"
            fresh = self.path.with_suffix(".new")
            fresh.write_text(json.dumps(new))
            fresh.replace(self.path)


def rotate(files: Handover, door: Door) -> None:
    """As stackctl.operations.rotate does."""
    files.begin()
    door.change(files.old(), files.new())
    files.take_over()
    assert door.values == files.new()
    files.end()


class Died(BaseException):
    """Nothing that is run after it can mend anything."""


def dies_at(line: int, act: Callable[[], None]) -> bool:
    """End it at so many lines of the modules that write secrets; False where it ended before.

    tests/contract/test_rotation.py kills a process; that takes longer than there are lines.
    """
    count = 0

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        code = frame.f_code
        if code.co_name in READS or not code.co_filename.endswith(
            ("secrets/rotation.py", "secrets/folder.py")
        ):
            return None
        if event == "line":
            count += 1
            if count == line:
                raise Died
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    except Died:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.fixture
def folder(tmp_path: Path) -> SecretFolder:
    made = SecretFolder(tmp_path / ".secrets" / "one")
    made.ensure([*PAIR, "mysql_password"])
    return made


@pytest.mark.parametrize("names", [PAIR, ("mysql_password",)])
def test_no_death_locks_out_and_the_next_call_ends_it(
    folder: SecretFolder, tmp_path: Path, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is a process that dies here, and not the machine: nothing needs to reach the disk.
    monkeypatch.setattr(os, "fsync", lambda _handle: None)
    files, door = Handover(folder, names), Door(tmp_path / "door")
    current = {name: folder.read(name).reveal() for name in folder.names()}
    door.path.write_text(json.dumps([current[name] for name in names]))
    line = deaths = 0
    while True:
        line += 1
        before = door.values
        died = dies_at(line, lambda: rotate(files, door))
        opened = files.is_open
        assert set(open_names(folder)) <= set(names)
        rotate(files, door)
        assert door.values == [folder.read(name).reveal() for name in names]
        assert door.values != before
        assert [name for name in folder.names() if not name.startswith(".")] == sorted(current)
        assert not files.is_open
        assert not open_names(folder)
        if not died:
            break
        deaths += opened
    assert deaths > 20
    others = set(current) - set(names)
    assert all(folder.read(name).reveal() == current[name] for name in others)


def test_both_values_are_closed_to_others_and_redacted(folder: SecretFolder) -> None:
    files = Handover(folder, ("mysql_password",))
    files.begin()
    files.take_over()
    kept = {
        name: (folder.path / name).read_text()
        for name in ("mysql_password", "mysql_password.previous")
    }
    assert {(folder.path / name).stat().st_mode & 0o777 for name in kept} == {0o600}
    assert len(set(kept.values())) == 2
    assert set(kept.values()) <= set(folder.values())
