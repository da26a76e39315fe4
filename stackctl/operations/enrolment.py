"""Many users at once: from a file with a line for each, which never takes anything away."""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stackctl.errors import UserError
from stackctl.operations.roles import Roles
from stackctl.operations.users import OWN, People, new_password, refuse_name

_COLUMNS = ("user", "admin", "roles")
_WORDS = {"": False, "no": False, "false": False, "0": False, "yes": True, "true": True, "1": True}
_FORMAT = "the first line is user,admin,roles; admin is yes or no; several roles have ';' between"


@dataclass(frozen=True)
class Wanted:
    """What a line asks for.

    Attributes:
        user: The user's name.
        admin: They may do everything.
        roles: The names of roles that they have.
    """

    user: str
    admin: bool
    roles: tuple[str, ...]


@dataclass(frozen=True)
class Change:
    """What is to be done for one user.

    Attributes:
        user: The user's name.
        new: They are made.
        admin: They become an administrator.
        roles: They are given these.
    """

    user: str
    new: bool
    admin: bool
    roles: tuple[str, ...]

    def __str__(self) -> str:
        what = ["administrator"] if self.admin else []
        what += [f"role {role}" for role in self.roles]
        told = f"  ({', '.join(what)})" if what else ""
        return f"{'+ add    ' if self.new else '~ change '} {self.user}{told}"


def read(path: Path) -> list[Wanted]:
    """What a file asks for.

    Raises:
        UserError: It cannot be read, or a line is wrong; the error names it.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        why = error.strerror
        raise UserError(f"{path} cannot be read: {why}", hint="is the path right?") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} cannot be read: it is no UTF-8 text",
                        hint="save it as CSV in UTF-8") from None  # fmt: skip
    try:
        return _wanted(path, text)
    except csv.Error as error:
        raise UserError(f"{path} is no CSV file: {error}", hint=_FORMAT) from None


def _wanted(path: Path, text: str) -> list[Wanted]:
    rows = csv.DictReader(io.StringIO(text), restkey="", skipinitialspace=True)
    columns = [name.strip().lower() for name in rows.fieldnames or ()]
    if "user" not in columns or set(columns) - {*_COLUMNS} or len({*columns}) < len(columns):
        raise UserError(f"{path}:1: {', '.join(columns) or 'nothing'} are not its columns",
                        hint=_FORMAT)  # fmt: skip
    rows.fieldnames = columns
    found: dict[str, Wanted] = {}
    for row in rows:
        where = f"{path}:{rows.line_num}"
        if "" in row:
            raise UserError(f"{where}: it has more fields than columns", hint=_FORMAT)
        user = (row["user"] or "").strip()
        refuse_name(user, where)
        if user in found or user == OWN:
            raise UserError(f"{where}: {user!r} is there already", hint="take the line out")
        word = (row.get("admin") or "").strip().lower()
        if word not in _WORDS:
            raise UserError(f"{where}: {word!r} is neither yes nor no", hint=_FORMAT)
        roles = [role.strip() for role in (row.get("roles") or "").split(";")]
        found[user] = Wanted(user, _WORDS[word], tuple(dict.fromkeys(filter(None, roles))))
    return list(found.values())


class Enrolment:
    """What a file asks for, on a stack that runs.

    Raises:
        UserError: A role is none.
    """

    def __init__(self, people: People, roles: Roles, wanted: Sequence[Wanted]) -> None:
        self._people, self._roles = people, roles
        if missing := sorted({role for one in wanted for role in one.roles} - roles.names()):
            raise UserError(f"there is no role {', '.join(map(repr, missing))}",
                            hint=f"make it first: stackctl roles add '{missing[0]}'")  # fmt: skip
        there = {person.name: person for person in people.all()}
        self.changes: list[Change] = []
        for one in wanted:
            person = there.get(one.user)
            change = Change(
                one.user,
                new=person is None,
                admin=one.admin and not (person and person.admin),
                roles=tuple(r for r in one.roles if person is None or r not in person.roles),
            )
            if change.new or change.admin or change.roles:
                self.changes.append(change)

    def carry_out(self) -> Iterator[tuple[str, str]]:
        """Do it, user by user; gives each new one with the password, before the next is made."""
        for change in self.changes:
            if change.new:
                password = new_password()
                self._people.add(change.user, password)
                yield change.user, password
            if change.admin:
                self._people.promote(change.user, admin=True)
            self._roles.give(change.roles, change.user)
