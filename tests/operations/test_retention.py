"""Retention: what stays is what restic's words say, and nothing goes that is needed."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from stackctl.errors import UserError
from stackctl.operations.retention import Keep
from stackctl.stack import Home, Manifest
from tests.archive.test_archive import DUMPS, dumped
from tests.conftest import Call

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)  # a Saturday


@pytest.fixture(autouse=True)
def _greenwich(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Days begin at the machine's midnight."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def made(*ages: float) -> list[datetime]:
    """Moments so many hours before noon, the newest first."""
    return [NOON - timedelta(hours=age) for age in ages]


def stay(keep: str, *ages: float) -> list[float]:
    """Which of these ages stay."""
    chosen = Keep.parse(keep).chosen(made(*ages))
    return [age for age, rules in zip(ages, chosen, strict=True) if rules]


@pytest.mark.parametrize(
    ("keep", "ages", "left"),
    [
        ("last=2", (0, 1, 2), [0, 1]),
        ("24h", (0, 0.5, 1, 1.9, 30, 31), [0, 0.5, 1.9, 30, 31]),
        ("2h", (0, 0.5, 1), [0, 0.5]),
        # Of each day the newest; a day without one counts for nothing.
        ("3d", (0, 6, 13, 14, 60, 61, 200), [0, 13, 60]),
        ("daily=3", (0, 6, 13, 14, 60, 61, 200), [0, 13, 60]),
        # Weeks begin on Monday, and the last of a year may be the first of the next.
        ("2w", (0, 24, 24 * 5, 24 * 6, 24 * 7), [0, 24 * 6]),
        ("2m", (0, 24 * 20, 24 * 21, 24 * 60), [0, 24 * 21]),
        ("2y", (0, 24 * 300, 24 * 330, 24 * 900), [0, 24 * 330]),
        ("within=2d", (0, 24, 48, 49), [0, 24, 48]),
        ("within=1m", (5, 24, 24 * 30, 24 * 31), [5, 24, 24 * 30]),
        # What one rule keeps, no other takes away.
        ("1d,2w,last=1", (0, 1, 24 * 6, 24 * 7), [0, 24 * 6]),
        (" 1d , last=3 ", (0, 1, 2, 3), [0, 1, 2]),
        ("7d", (), []),
    ],
)
def test_what_stays_is_what_the_words_say(
    keep: str, ages: tuple[float, ...], left: list[float]
) -> None:
    assert stay(keep, *ages) == left


def test_the_newest_always_stays() -> None:
    for keep in ("1h", "1d", "1w", "1m", "1y", "last=1", "within=1h"):
        assert stay(keep, 0, 9000, 90000)[0] == 0


def test_a_day_is_this_machine_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    around = [NOON.replace(hour=hour).astimezone() for hour in (6, 4)]
    assert [bool(rules) for rules in Keep.parse("2d").chosen(around)] == [True, True]
    assert [bool(rules) for rules in Keep.parse("1d").chosen(around)] == [True, False]


@pytest.mark.parametrize(
    ("keep", "said"),
    [
        ("", "would keep nothing"), ("0d", "would keep nothing"), ("last=0,0w", "keep nothing"),
        ("7", "'7' says nothing of what stays"), ("7x", "'7x' says nothing"),
        ("-1d", "'-1d' says nothing"), ("daily=x", "'daily=x' says"), ("daily", "'daily' says"),
        ("within=5", "'within=5' says"), ("within=0d", "would keep nothing"),
        ("dayly=7", "'dayly=7' says"), ("7d;4w", "'7d;4w' says"), ("٣d", "'٣d' says"),
        ("99999999d", "'99999999d' says"),
    ],
)  # fmt: skip
def test_words_that_say_nothing_are_refused(keep: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        Keep.parse(keep)


def archive(folder: Path, name: str, days: float, stack: str = "x") -> Path:
    """One of a stack, so many days old."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.tar"
    created = (NOON - timedelta(days=days)).isoformat(timespec="seconds")
    return dumped(path, "sqlite", DUMPS["sqlite"], stack=stack, created=created)


@pytest.fixture
def folder(home: Home) -> Path:
    """Four archives of stack `x`, one of another, and a file that is none."""
    folder = home.path / "backups"
    for name, days in (("new", 0), ("day", 1), ("week", 8), ("old", 40)):
        archive(folder, name, days)
    archive(folder, "theirs", 400, stack="y")
    (folder / "notes.tar").write_text("of somebody")
    return folder


def left(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.iterdir())


ALL = ["day", "new", "notes", "old", "theirs", "week"]


@pytest.mark.parametrize("more", [(), ("--dry-run",), ("--dry-run", "--yes")])
def test_without_a_word_it_is_only_shown(
    folder: Path, stackctl: Call, more: tuple[str, ...]
) -> None:
    answer = stackctl("backup", "prune", "x", "--keep", "2d", *more)
    assert answer.code == 0
    lines = {line.split()[0]: line for line in map(str.rstrip, answer.out.splitlines())}
    assert lines["new.tar"].endswith("daily")
    assert lines["old.tar"].endswith("goes")
    assert lines["notes.tar"].endswith("it cannot be read")
    assert "theirs.tar" not in lines
    assert "2 would go" in answer.err
    assert left(folder) == ALL


def test_what_goes_goes_and_nothing_else(folder: Path, stackctl: Call) -> None:
    answer = stackctl("backup", "prune", "x", "--keep", "2d", "--yes")
    assert (answer.code, answer.err.splitlines()[-1].split(",")[0]) == (0, "2 are gone")
    assert left(folder) == ["day", "new", "notes", "theirs"]
    answer = stackctl("backup", "prune", "x", "--keep", "2d", "--yes")
    assert "every one of them stays" in answer.err


def test_nothing_goes_while_the_newest_is_damaged(folder: Path, stackctl: Call) -> None:
    newest = folder / "new.tar"
    newest.write_bytes(newest.read_bytes().replace(b"SQLite", b"TQLite", 1))
    answer = stackctl("backup", "prune", "x", "--keep", "1d", "--yes")
    assert answer.code == 2
    assert "it is the newest, so none was taken away" in answer.err
    assert left(folder) == ALL


def test_one_that_an_upgrade_would_go_back_to_stays(
    home: Home, folder: Path, stackctl: Call
) -> None:
    upgrade, stack = {"to": "9", "archive": str(folder / "old.tar")}, home.stack("x")
    with stack.locked():
        stack.save(
            Manifest("x", "scenario-3b", "docker", "owner", "upgrading", {}, upgrade=upgrade)
        )
    answer = stackctl("backup", "prune", "x", "--keep", "1d", "--yes")
    assert answer.code == 0
    assert left(folder) == ["new", "notes", "old", "theirs"]


@pytest.mark.usefixtures("home")
def test_archives_outlive_their_stack_and_are_in_any_folder(tmp_path: Path, stackctl: Call) -> None:
    other = tmp_path / "oth er"
    archive(other, "a", 0, stack="gone")
    archive(other, "b", 9, stack="gone")
    answer = stackctl(
        "backup", "prune", "gone", "--keep", "last=1", "--folder", str(other), "--yes"
    )
    assert answer.code == 0
    assert left(other) == ["a"]
    answer = stackctl("backup", "prune", "other", "--keep", "1d", "--folder", str(other))
    assert answer.code == 2
    assert f"{other} holds no archive of stack 'other'" in answer.err


def test_one_that_cannot_be_taken_away_is_named(
    folder: Path, stackctl: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root can take away everything."""
    remove = Path.unlink

    def refuse(path: Path, **_: object) -> None:
        if path.name == "week.tar":
            raise PermissionError(13, "Permission denied", str(path))
        remove(path)

    monkeypatch.setattr(Path, "unlink", refuse)
    answer = stackctl("backup", "prune", "x", "--keep", "2d", "--yes")
    assert answer.code == 3
    assert "week.tar cannot be taken away: Permission denied" in answer.err
    assert "1 were; mend that" in answer.err
    assert left(folder) == ["day", "new", "notes", "theirs", "week"]
