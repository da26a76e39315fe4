"""The people of a stack with MLflow's own login, and what each may do, asked of its server."""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stackctl.errors import UnknownName, UserError
from stackctl.operations.login_server import (
    OF_ONE_USER,
    Grant,
    LoginServer,
    refuse_no_permission,
)
from stackctl.secrets.rules import rule

# Whose password stackctl itself keeps.
OWN = "admin"
_NAME = re.compile(r"[^\s:\x00-\x1f\x7f]{1,255}")
# 24 bytes: 192 bits, in 32 characters that need no quoting.
_PASSWORD_BYTES = 24


@dataclass(frozen=True)
class Person:
    """A user.

    Attributes:
        name: With which they log in.
        admin: They may do everything.
        roles: The names of roles that they were given.
    """

    name: str
    admin: bool
    roles: tuple[str, ...] = ()


class People:
    """The users that a server knows."""

    def __init__(self, server: LoginServer) -> None:
        self._server = server

    def all(self) -> list[Person]:
        """Every user, by name."""
        found = self._server.ask("GET", "2.0/mlflow/users/list")["users"]
        people = [
            Person(user["username"], bool(user["is_admin"]), _named(user.get("roles", [])))
            for user in found
        ]
        return sorted(people, key=lambda person: person.name)

    def one(self, name: str) -> Person:
        """The one of that name.

        Raises:
            UnknownName: There is none.
        """
        people = {person.name: person for person in self.all()}
        if name not in people:
            raise UnknownName("user", name, sorted(people))
        return people[name]

    def grants(self, name: str) -> list[Grant]:
        """What a user may do beyond what everybody may."""
        found = self._server.ask("GET", "3.0/mlflow/users/permissions/list", {"username": name})
        return list(self._server.granted(found["permissions"]))

    def add(self, name: str, password: str, *, admin: bool = False) -> None:
        """Make a user.

        Raises:
            UserError: The name or the password cannot be one, or there is such a user.
        """
        refuse_name(name)
        self._check(password)
        self._server.ask(
            "POST", "2.0/mlflow/users/create", {"username": name, "password": password}
        )
        if admin:
            self.promote(name, admin=True)

    def promote(self, name: str, *, admin: bool) -> None:
        """Let a user do everything, or no longer."""
        self._refuse_own(name, "stays an administrator: stackctl acts as it")
        self._server.ask(
            "PATCH", "2.0/mlflow/users/update-admin", {"username": name, "is_admin": admin}
        )

    def change(self, name: str, password: str) -> None:
        """Give a user another password."""
        self._refuse_own(name, "has the password in the stack's secrets", "secrets rotate "
                         "admin_password")  # fmt: skip
        self._check(password)
        body = {"username": name, "password": password}
        self._server.ask("PATCH", "2.0/mlflow/users/update-password", body)

    def remove(self, name: str) -> None:
        """Take a user away, with what they were allowed; their runs stay."""
        self._refuse_own(name, "stays: stackctl acts as it")
        self._server.ask("DELETE", "2.0/mlflow/users/delete", {"username": name})

    def grant(self, name: str, permission: str, thing: str, which: str) -> None:
        """Let a user do something with an experiment or a model, in the place of what they could.

        Raises:
            UserError: There is no such user, permission or thing.
        """
        refuse_no_permission(permission)
        of = self._of(name, thing, which)
        there = [one.permission for one in self._granted(of) if not one.role]
        if there == [permission]:
            return
        if there:
            # MLflow gives none in the place of another (3.17.2).
            self._server.ask("POST", "3.0/mlflow/users/permissions/revoke", of)
        self._server.ask(
            "POST", "3.0/mlflow/users/permissions/grant", {**of, "permission": permission}
        )

    def revoke(self, name: str, thing: str, which: str) -> None:
        """Have a user do no more with it than everybody, or who has a role of theirs.

        Raises:
            UserError: They were not given it themselves.
        """
        of = self._of(name, thing, which, gone=True)
        found = self._granted(of)
        if all(one.role for one in found):
            by = ", ".join(repr(one.role) for one in found)
            raise UserError(
                f"user {name!r} was given nothing on {thing} {which!r} by themselves",
                hint=f"it is by role {by}: stackctl roles revoke, or roles unassign" if by
                else f"what they may: stackctl users show '{name}'",
            )  # fmt: skip
        self._server.ask("POST", "3.0/mlflow/users/permissions/revoke", of)

    def _of(self, name: str, thing: str, which: str, *, gone: bool = False) -> dict[str, str]:
        kind, found = self._server.thing(thing, which, gone=gone)
        return {"username": name, "resource_type": kind, "resource_id": found}

    def _granted(self, of: Mapping[str, str]) -> list[Grant]:
        """What a user may do with one thing."""
        thing = (of["resource_type"], of["resource_id"])
        return [one for one in self.grants(of["username"]) if (one.kind, one.id) == thing]

    def _check(self, password: str) -> None:
        if problem := rule("admin_password").problem(password):
            raise UserError(f"the password cannot be used: {problem}",
                            hint="leave it out to have one made")  # fmt: skip

    def _refuse_own(self, name: str, why: str, command: str = "") -> None:
        if name == OWN:
            hint = f"run: stackctl {command}" if command else "nothing was changed"
            raise UserError(f"{OWN} {why}", hint=hint)


def refuse_name(name: str, where: str = "") -> None:
    """A login can send it.

    Raises:
        UserError: It cannot; said is where it is from.
    """
    if not _NAME.fullmatch(name) or not name.isprintable():
        raise UserError(
            f"{where}{': ' if where else ''}{name[:80]!r} can be no user's name",
            hint="1 to 255 characters that can be seen, without blanks, without ':', which ends it "
            "in a login",
        )


def new_password() -> str:
    """One that nobody knows yet."""
    return secrets.token_urlsafe(_PASSWORD_BYTES)


def _named(roles: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    names = (str(role["name"]) for role in roles)
    return tuple(name for name in names if not name.startswith(OF_ONE_USER))
