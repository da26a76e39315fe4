"""`stackctl render`."""

from pathlib import Path

import pytest

from stackctl.stack import Home
from tests.bundles import NAMES, compose
from tests.conftest import Call


def contents(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mode)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("name", NAMES)
def test_rendering_twice_gives_identical_bytes(stackctl: Call, home: Home, name: str) -> None:
    first = stackctl("render", name, "-o", "out")
    assert (first.code, first.out) == (0, "")
    before = contents(home.path / "out")
    assert first.err == f"wrote {len(before)} files to out\n"
    assert stackctl("render", name, "-o", "out").code == 0
    assert contents(home.path / "out") == before
    stackctl("render", name, "--output", "again")
    assert contents(home.path / "again") == before
    assert {p.name for p in home.path.iterdir()} == {"out", "again"}


def test_without_a_folder_it_prints_all_but_lock_files(stackctl: Call, home: Home) -> None:
    stackctl("render", "scenario-5", "-o", "out")
    printed = stackctl("render", "scenario-5").out
    for name, (text, _) in contents(home.path / "out").items():
        assert (f"# --- {name}\n{text.decode()}" in printed) == (not name.endswith(".lock"))


def test_what_is_written_is_accepted_by_compose(stackctl: Call, home: Home) -> None:
    stackctl("render", "scenario-5", "-o", "out", "--set", "data=it's $x")
    answer = compose(home.path / "out", "config", "--quiet")
    assert (answer.returncode, answer.stderr) == (0, "")


def test_a_folder_that_cannot_be_written_is_the_machines_fault(stackctl: Call, home: Home) -> None:
    (home.path / "out").write_text("a file")
    answer = stackctl("render", "scenario-5", "-o", "out")
    assert (answer.code, answer.out) == (3, "")
    assert answer.err.startswith("stackctl: out cannot be written: ")
    assert (home.path / "out").read_text() == "a file"


def test_a_relative_home_is_made_absolute(stackctl: Call, home: Home) -> None:
    (home.path / "sub").mkdir()
    printed = stackctl("--home", "sub", "render", "scenario-5").out
    assert f'file: "{home.path}/sub/.secrets/scenario-5/postgres_password"' in printed


def test_files_of_processes_are_rendered_on_demand(stackctl: Call, home: Home) -> None:
    answer = stackctl("render", "scenario-5", "--runtime", "embedded", "-o", "out")
    assert (answer.code, answer.out) == (0, "")
    written = set(contents(home.path / "out"))
    assert {"supervisord.conf", "processes/postgres.toml", ".env"} <= written
    assert "compose.yaml" not in written
    assert {p.name for p in home.path.iterdir()} == {"out"}
    before = contents(home.path / "out")
    assert stackctl("render", "scenario-5", "--runtime", "embedded", "-o", "out").code == 0
    assert contents(home.path / "out") == before


@pytest.mark.parametrize("name", [".env", "compose.yaml", "entrypoints/tracking.sh"])
def test_a_file_that_stackctl_did_not_write_is_not_replaced(
    stackctl: Call, home: Home, name: str
) -> None:
    theirs = home.path / "out" / name
    theirs.parent.mkdir(parents=True)
    theirs.write_text("MINE=precious\n")
    answer = stackctl("render", "scenario-3b", "--output", "out")
    assert answer.code == 2
    assert str(Path("out") / name) in answer.err
    assert [p for p in (home.path / "out").rglob("*") if p.is_file()] == [theirs]
    assert theirs.read_text() == "MINE=precious\n"
