"""The roles of a stack with MLflow's own login: what several users may do alike."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stackctl.errors import UnknownName, UserError
from stackctl.operations.login_server import (
    OF_ONE_USER,
    Grant,
    LoginServer,
    refuse_no_permission,
)
from stackctl.operations.users import People, Person

# Of a server without others, and of one with them the one that everybody has.
_WORKSPACE = "default"
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9 ._-]{0,98}[A-Za-z0-9._-])?")
# MLflow 3.17.2, mlflow/server/auth/db/models.py; SQLite does not mind, and others do.
_MOST = 1024


@dataclass(frozen=True)
class Role:
    """What several users may do alike.

    Attributes:
        name: As people call it.
        description: What it is for.
        grants: What who has it may do.
        users: Who has it.
    """

    name: str
    description: str
    grants: tuple[Grant, ...]
    users: tuple[str, ...] = ()


class Roles:
    """Those that a server knows."""

    def __init__(self, server: LoginServer) -> None:
        self._server, self._people = server, People(server)

    def all(self) -> list[Role]:
        """Every role, by name."""
        people = self._people.all()
        return [self._role(row, people) for _, row in sorted(self._rows().items())]

    def one(self, name: str) -> Role:
        """The one of that name.

        Raises:
            UnknownName: There is none.
        """
        return self._role(self._row(name), self._people.all())

    def names(self) -> set[str]:
        """What they are called."""
        return set(self._rows())

    def require(self, names: Collection[str]) -> None:
        """Each of these is one.

        Raises:
            UnknownName: One is none.
        """
        known = self.names() if names else ()
        for name in names:
            if name not in known:
                raise UnknownName("role", name, sorted(known))

    def add(self, name: str, description: str = "") -> None:
        """Make one, with which nobody may do anything yet.

        Raises:
            UserError: It cannot be called so, or there is such a role.
        """
        if not _NAME.fullmatch(name):
            raise UserError(f"{name[:80]!r} can be no role's name",
                            hint="1 to 100 letters, digits, blanks, '.', '_' and '-', the first a "
                            "letter or a digit, the last no blank")  # fmt: skip
        if len(description) > _MOST or not description.isprintable():
            raise UserError(f"a description of {len(description)} characters is too long, or has "
                            "some that nobody sees", hint=f"one line of at most {_MOST}"
                            )  # fmt: skip
        if name in self._rows():
            raise UserError(f"there is a role {name!r}", hint="nothing was changed")
        values = {"workspace": _WORKSPACE, "name": name, "description": description}
        self._server.ask("POST", "3.0/mlflow/roles/create", values)

    def remove(self, name: str) -> None:
        """Take it away, from whoever has it."""
        self._server.ask("DELETE", "3.0/mlflow/roles/delete", {"role_id": self._row(name)["id"]})

    def grant(self, name: str, permission: str, thing: str, which: str) -> None:
        """Let whoever has it do something, in the place of what they could.

        Args:
            name: Of the role.
            permission: What.
            thing: With a thing of which kind.
            which: With which; `*` is every one.

        Raises:
            UserError: There is no such role, permission or thing.
        """
        refuse_no_permission(permission)
        kind, found = self._server.thing(thing, which)
        row = self._row(name)
        there = _of(row, kind, found)
        if there is not None:
            self._server.ask("PATCH", "3.0/mlflow/roles/permissions/update",
                             {"role_permission_id": there, "permission": permission})  # fmt: skip
            return
        self._server.ask("POST", "3.0/mlflow/roles/permissions/add", {
            "role_id": row["id"], "resource_type": kind, "resource_pattern": found,
            "permission": permission,
        })  # fmt: skip

    def revoke(self, name: str, thing: str, which: str) -> None:
        """Have whoever has it do no more with it than they may otherwise.

        Raises:
            UserError: The role says nothing of it.
        """
        kind, found = self._server.thing(thing, which, gone=True)
        there = _of(self._row(name), kind, found)
        if there is None:
            raise UserError(f"role {name!r} says nothing of {thing} {which!r}",
                            hint=f"what it says: stackctl roles show '{name}'")  # fmt: skip
        self._server.ask("DELETE", "3.0/mlflow/roles/permissions/remove",
                         {"role_permission_id": there})  # fmt: skip

    def assign(self, name: str, user: str) -> None:
        """Give it to a user; one who has it keeps it."""
        row = self._row(name)
        if name in self._people.one(user).roles:
            return
        self._give(row, user)

    def give(self, names: Collection[str], user: str) -> None:
        """Give roles to a user who has none of them."""
        rows = self._rows() if names else {}
        for name in names:
            self._give(rows[name], user)

    def _give(self, row: Mapping[str, Any], user: str) -> None:
        self._server.ask("POST", "3.0/mlflow/roles/assign",
                         {"username": user, "role_id": row["id"]})  # fmt: skip

    def unassign(self, name: str, user: str) -> None:
        """Take it from a user.

        Raises:
            UserError: They do not have it.
        """
        row = self._row(name)
        if name not in self._people.one(user).roles:
            raise UserError(f"user {user!r} does not have role {name!r}",
                            hint="nothing was changed")  # fmt: skip
        self._server.ask("DELETE", "3.0/mlflow/roles/unassign",
                         {"username": user, "role_id": row["id"]})  # fmt: skip

    def _role(self, row: Mapping[str, Any], people: Iterable[Person]) -> Role:
        name = str(row["name"])
        return Role(
            name,
            str(row.get("description") or ""),
            self._server.granted(row["permissions"]),
            tuple(person.name for person in people if name in person.roles),
        )

    def _rows(self) -> dict[str, dict[str, Any]]:
        found = self._server.ask("GET", "3.0/mlflow/roles/list", {"workspace": _WORKSPACE})
        return {
            str(row["name"]): row
            for row in found["roles"]
            if not str(row["name"]).startswith(OF_ONE_USER)
        }

    def _row(self, name: str) -> dict[str, Any]:
        rows = self._rows()
        if name not in rows:
            raise UnknownName("role", name, sorted(rows))
        return rows[name]


def _of(row: Mapping[str, Any], kind: str, which: str) -> int | None:
    found = [
        int(one["id"])
        for one in row["permissions"]
        if (one["resource_type"], str(one["resource_pattern"])) == (kind, which)
    ]
    return found[0] if found else None
