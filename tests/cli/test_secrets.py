"""`stackctl secrets`."""

from pathlib import Path

import pytest

from stackctl.stack import Home
from tests.bundles import NAMES, bundle
from tests.conftest import Call


@pytest.mark.parametrize("name", NAMES)
def test_init_list_and_check_go_together_and_print_no_value(
    stackctl: Call, home: Home, name: str
) -> None:
    wanted = list(bundle(name, "auth=basic").secrets)
    words = (name, "--set", "auth=basic", "--name", "one")
    made = stackctl("secrets", "init", *words)
    assert (made.code, made.out.split()) == (0, wanted)
    again = stackctl("secrets", "init", *words)
    assert (again.code, again.out) == (0, "")
    assert again.err.startswith(f"generated 0 of {len(wanted)} secrets in {home.path}/.secrets/one")
    listed = stackctl("secrets", "list", *words)
    assert [line.split() for line in listed.out.splitlines()[1:]] == [
        [entry, "0600", "0", "d", "ok"] for entry in wanted
    ]
    checked = stackctl("secrets", "check", *words)
    assert checked.out == f"{len(wanted)} secrets are good\n"
    folder = home.path / ".secrets" / "one"
    assert sorted(path.name for path in folder.iterdir()) == wanted
    for path in folder.iterdir():
        for answer in (made, again, listed, checked):
            assert path.read_text() not in answer.out + answer.err


def test_a_scenario_without_secrets_needs_none(stackctl: Call, home: Home) -> None:
    assert stackctl("secrets", "init", "scenario-3a").out == ""
    assert stackctl("secrets", "check", "scenario-3a").out == "0 secrets are good\n"
    assert list(home.path.iterdir()) == []


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_text(""), "is empty"),
        (lambda path: path.write_text("value-of-ada\n"), "ends with a newline"),
        (lambda path: path.chmod(0o644), "others can read it (mode 0644)"),
        (lambda path: path.parent.chmod(0o755), "others can read it (mode 0755)"),
        (
            lambda path: path.write_text("change-me: PostgreSQL password of the role mlflow"),
            "is the placeholder of .secrets.example/postgres_password",
        ),
    ],
    ids=["missing", "empty", "newline", "readable", "folder", "placeholder"],
)
def test_check_ends_with_2_at_the_first_bad_one(
    stackctl: Call, home: Home, spoil: object, told: str
) -> None:
    stackctl("secrets", "init", "scenario-5")
    path = home.path / ".secrets" / "scenario-5" / "postgres_password"
    value = path.read_text()
    assert callable(spoil)
    spoil(path)
    answer = stackctl("secrets", "check", "scenario-5")
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("stackctl: secret ")
    assert told in answer.err
    assert len(answer.err.splitlines()) == 1
    assert not {value, "value-of-ada"} & set(answer.err.split())
    listed = stackctl("secrets", "list", "scenario-5")
    assert told.replace("is missing", "missing") in listed.out


def test_a_secrets_folder_that_is_a_symlink_is_refused_and_not_written_through(
    stackctl: Call, home: Home, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (home.path / ".secrets").symlink_to(tmp_path / "elsewhere")
    for command in ("init", "check"):
        answer = stackctl("secrets", command, "scenario-5")
        assert (answer.code, answer.out) == (2, "")
        assert "/.secrets: is a symbolic link" in answer.err
    assert list((tmp_path / "elsewhere").iterdir()) == []
