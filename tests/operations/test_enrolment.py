"""Many users at once: what a file may say, and what is to be done for it."""

from pathlib import Path
from typing import cast

import pytest

from stackctl.errors import UserError
from stackctl.operations.enrolment import Enrolment, Wanted, read
from stackctl.operations.roles import Role, Roles
from stackctl.operations.users import People, Person


def written(folder: Path, text: str) -> Path:
    """A file that says so."""
    path = folder / "people.csv"
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("user\nada\n", [Wanted("ada", False, ())]),
        ("\ufeffUser, Admin ,ROLES\r\nada, Yes , a;b; a;\r\n\r\n",
         [Wanted("ada", True, ("a", "b"))]),
        ('roles,user\n"a;b c",ada\n,eve\n',
         [Wanted("ada", False, ("a", "b c")), Wanted("eve", False, ())]),
        ("user,admin,roles\nada\n", [Wanted("ada", False, ())]),
        ("user\n", []),
    ],
)  # fmt: skip
def test_a_file_says_who_is_wanted(tmp_path: Path, text: str, wanted: list[Wanted]) -> None:
    assert read(written(tmp_path, text)) == wanted


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", 1, "nothing are not its columns"),
        ("name\nada\n", 1, "name are not its columns"),
        ("user,password\nada,geheim\n", 1, "user, password are not its columns"),
        ("user\nada\neve,x\n", 3, "more fields than columns"),
        ("user\na b\n", 2, "'a b' can be no user's name"),
        ("user,admin\n,yes\n", 2, "'' can be no user's name"),
        ("user\nada\nada\n", 3, "'ada' is there already"),
        ("user\nadmin\n", 2, "'admin' is there already"),
        ("user,user\nada,eve\n", 1, "user, user are not its columns"),
        ("user,admin\nada,perhaps\n", 2, "'perhaps' is neither yes nor no"),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path: Path, text: str, line: int, said: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UserError) as refused:
        read(path)
    assert str(refused.value).startswith(f"{path}:{line}: ")
    assert said in str(refused.value)
    assert "geheim" not in str(refused.value)


def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_bytes(b"user\n\xff\n")
    with pytest.raises(UserError, match="it is no UTF-8 text"):
        read(path)
    with pytest.raises(UserError, match="No such file or directory"):
        read(tmp_path / "none.csv")


class Here:
    """Those who are there, and what roles there are."""

    def __init__(self, *found: object) -> None:
        self.found = found

    def all(self) -> list[object]:
        return list(self.found)

    def names(self) -> set[str]:
        return {one.name for one in self.found if isinstance(one, Role)}


def enrolment(*wanted: Wanted) -> Enrolment:
    """On a stack with an administrator and a reader."""
    people = Here(Person("ada", True), Person("eve", False, ("readers",)))
    roles = Here(Role("readers", "", ()), Role("team", "", ()))
    return Enrolment(cast(People, people), cast(Roles, roles), wanted)


def test_only_what_is_not_so_already_is_done_and_nothing_is_taken_away() -> None:
    found = enrolment(
        Wanted("ada", False, ("team",)), Wanted("eve", True, ("readers",)),
        Wanted("max", False, ("readers", "team")),
    ).changes  # fmt: skip
    assert [str(change) for change in found] == [
        "~ change  ada  (role team)",
        "~ change  eve  (administrator)",
        "+ add     max  (role readers, role team)",
    ]
    assert enrolment(Wanted("ada", True, ()), Wanted("eve", False, ("readers",))).changes == []


def test_roles_that_are_none_are_named_before_anybody_is_made() -> None:
    with pytest.raises(UserError, match="there is no role 'a', 'b'; make it first: stackctl roles"):
        enrolment(Wanted("max", False, ("b", "readers", "a")))


def test_a_field_of_a_megabyte_is_no_csv(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no CSV file: field larger"):
        read(written(tmp_path, f"user\n{'x' * 200_000}\n"))
