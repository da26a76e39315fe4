"""The people of a stack with MLflow's own login, and what each may do, asked of its server."""

import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from stackctl.deployment import Deployment
from stackctl.errors import MachineError, UserError
from stackctl.operations.held import visited
from stackctl.proof import readiness
from stackctl.proof.roundtrip import RoundTrip, RoundTripError
from stackctl.secrets import redact
from stackctl.secrets.rules import rule

# Whose password stackctl itself keeps.
OWN = "admin"
# What each may, from least to most (MLflow 3.17.2, mlflow/server/auth/permissions.py).
PERMISSIONS = ("DENY", "READ", "USE", "EDIT", "MANAGE")
# What a user may be given a permission on, by the words of MLflow.
THINGS = {"experiment": "experiment", "model": "registered_model"}
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


@dataclass(frozen=True)
class Grant:
    """What a user may do with something.

    Attributes:
        permission: One of `PERMISSIONS`.
        kind: What it is on, in MLflow's words.
        id: Which; `*` is every one.
    """

    permission: str
    kind: str
    id: str


class People:
    """The users of a stack that runs.

    Raises:
        UserError: It has no login, or was never deployed.
        NotRunning: Not everything of it runs.
    """

    def __init__(self, deployment: Deployment) -> None:
        visited(deployment, running=True)
        if deployment.settings.auth != "basic":
            raise UserError(
                f"stack {deployment.name!r} has no users: auth={deployment.settings.auth}",
                hint=f"a login comes with: stackctl deploy {deployment.name} --set auth=basic",
            )
        self._deployment = deployment

    def all(self) -> list[Person]:
        """Every user, by name."""
        found = self._ask("GET", "2.0/mlflow/users/list")["users"]
        people = [
            Person(user["username"], bool(user["is_admin"]), _named(user.get("roles", [])))
            for user in found
        ]
        return sorted(people, key=lambda person: person.name)

    def grants(self, name: str) -> list[Grant]:
        """What a user may do beyond what everybody may."""
        found = self._ask("GET", "3.0/mlflow/users/permissions/list", {"username": name})
        return [
            Grant(row["permission"], row["resource_type"], str(row["resource_pattern"]))
            for row in found["permissions"]
        ]

    def add(self, name: str, password: str, *, admin: bool = False) -> None:
        """Make a user.

        Raises:
            UserError: The name or the password cannot be one, or there is such a user.
        """
        if not _NAME.fullmatch(name):
            raise UserError(
                f"{name[:80]!r} can be no user's name",
                hint="1 to 255 characters, without blanks, without ':', which ends it in a login",
            )
        self._check(password)
        self._ask("POST", "2.0/mlflow/users/create", {"username": name, "password": password})
        if admin:
            self.promote(name, admin=True)

    def promote(self, name: str, *, admin: bool) -> None:
        """Let a user do everything, or no longer."""
        self._refuse_own(name, "stays an administrator: stackctl acts as it")
        self._ask("PATCH", "2.0/mlflow/users/update-admin", {"username": name, "is_admin": admin})

    def change(self, name: str, password: str) -> None:
        """Give a user another password."""
        self._refuse_own(name, "has the password in the stack's secrets", "secrets rotate "
                         "admin_password")  # fmt: skip
        self._check(password)
        body = {"username": name, "password": password}
        self._ask("PATCH", "2.0/mlflow/users/update-password", body)

    def remove(self, name: str) -> None:
        """Take a user away, with what they were allowed; their runs stay."""
        self._refuse_own(name, "stays: stackctl acts as it")
        self._ask("DELETE", "2.0/mlflow/users/delete", {"username": name})

    def grant(self, name: str, permission: str, thing: str, which: str) -> None:
        """Let a user do something with an experiment or a model, in the place of what they could.

        Raises:
            UserError: There is no such user, permission or thing.
        """
        if permission not in PERMISSIONS:
            raise UserError(
                f"{permission!r} is no permission", hint=f"one of {', '.join(PERMISSIONS)}"
            )
        of = self._of(name, thing, which)
        there = [one.permission for one in self.grants(name)
                 if (one.kind, one.id) == (of["resource_type"], of["resource_id"])]  # fmt: skip
        if there == [permission]:
            return
        if there:
            # MLflow gives none in the place of another (3.17.2).
            self._ask("POST", "3.0/mlflow/users/permissions/revoke", of)
        self._ask("POST", "3.0/mlflow/users/permissions/grant", {**of, "permission": permission})

    def revoke(self, name: str, thing: str, which: str) -> None:
        """Have a user do no more with it than everybody may."""
        self._ask("POST", "3.0/mlflow/users/permissions/revoke", self._of(name, thing, which))

    def _of(self, name: str, thing: str, which: str) -> dict[str, str]:
        if thing not in THINGS:
            raise UserError(f"{thing!r} has no permissions of its own here",
                            hint=f"one of {', '.join(THINGS)}")  # fmt: skip
        if thing == "experiment":
            found = self._ask("GET", "2.0/mlflow/experiments/get-by-name",
                              {"experiment_name": which})  # fmt: skip
            which = str(found["experiment"]["experiment_id"])
        else:
            self._ask("GET", "2.0/mlflow/registered-models/get", {"name": which})
        return {"username": name, "resource_type": THINGS[thing], "resource_id": which}

    def _check(self, password: str) -> None:
        if problem := rule("admin_password").problem(password):
            raise UserError(f"the password cannot be used: {problem}",
                            hint="leave it out to have one made")  # fmt: skip

    def _refuse_own(self, name: str, why: str, command: str = "") -> None:
        if name == OWN:
            hint = f"run: stackctl {command}" if command else "nothing was changed"
            raise UserError(f"{OWN} {why}", hint=hint)

    def _ask(self, method: str, endpoint: str, values: dict[str, Any] | None = None) -> Any:
        """What the server answers.

        Raises:
            UserError: It says that what was asked for is wrong.
            MachineError: It does not answer.
        """
        address = readiness.outside(self._deployment)[0]
        kept = self._deployment.secrets
        trip = RoundTrip(address, secret=lambda name: kept.read(name).reveal(), login=True)
        url, body = f"{address.url}/api/{endpoint}", None
        if method == "GET":
            url += f"?{urlencode(values)}" if values else ""
        else:
            body = json.dumps(values).encode()
        try:
            answer = trip.request(method, url, body, "application/json")
        except RoundTripError as error:
            if error.status in (400, 404, 409):
                raise UserError(_said(error), hint="nothing was changed") from error
            raise MachineError(
                redact(_plain(str(error)), kept.values()), hint="see: stackctl logs"
            ) from error
        return json.loads(answer) if answer.strip() else {}


def new_password() -> str:
    """One that nobody knows yet."""
    return secrets.token_urlsafe(_PASSWORD_BYTES)


def _named(roles: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    # MLflow makes a role for each user, for what they alone were given.
    return tuple(str(role["name"]) for role in roles if not str(role["name"]).startswith("__user_"))


def _said(error: RoundTripError) -> str:
    """The server's own words."""
    try:
        return _plain(str(json.loads(error.body)["message"])).rstrip(".")
    except (ValueError, LookupError, TypeError):
        return f"the server knows no such request ({error.status}); is its MLflow older than 3.17?"


def _plain(told: str) -> str:
    """Without what a database adds: a statement and its values, such as a password's hash."""
    return told.partition(" Error: ")[0].partition("[SQL")[0].strip()
