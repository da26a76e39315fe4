"""A server with MLflow's own login, asked as its administrator: `admin`, whose password we keep."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from stackctl.deployment import Deployment
from stackctl.errors import MachineError, UserError
from stackctl.operations.held import visited
from stackctl.proof import readiness
from stackctl.proof.roundtrip import RoundTrip, RoundTripError
from stackctl.secrets import redact

# What each may, from least to most (MLflow 3.17.2, mlflow/server/auth/permissions.py).
PERMISSIONS = ("DENY", "READ", "USE", "EDIT", "MANAGE")
# What a user may be given a permission on, by the words of MLflow.
THINGS = {
    "experiment": "experiment",
    "model": "registered_model",
    "registered_model": "registered_model",
}
# How a role begins that MLflow makes for a user, for what they alone were given.
OF_ONE_USER = "__user_"
# Every one of a kind.
ALL = "*"


@dataclass(frozen=True)
class Grant:
    """What a user may do with something.

    Attributes:
        permission: One of `PERMISSIONS`.
        kind: What it is on, in MLflow's words.
        id: Which, as MLflow knows it; `*` is every one.
        name: Which, as people do.
        role: By which role; "" where it was given to the user alone.
    """

    permission: str
    kind: str
    id: str
    name: str
    role: str = ""


class LoginServer:
    """That of a stack that runs.

    Raises:
        UserError: It has no login, or was never deployed.
        NotRunning: Not everything of it runs.
    """

    def __init__(self, deployment: Deployment) -> None:
        visited(deployment, running=True)
        if deployment.settings.auth == "oidc":
            raise UserError(
                f"the people of stack {deployment.name!r} are those of its OpenID provider",
                hint="who may come in is said there, by groups; who may do what: "
                f"{deployment.addresses.server}/oidc/ui",
            )
        if deployment.settings.auth != "basic":
            raise UserError(
                f"stack {deployment.name!r} has no users: auth={deployment.settings.auth}",
                hint=f"a login comes with: stackctl deploy {deployment.name} --set auth=basic",
            )
        self._deployment = deployment
        self._names: dict[str, str] = {}

    def thing(self, thing: str, which: str, *, gone: bool = False) -> tuple[str, str]:
        """A thing that permissions are for, as MLflow calls its kind, and it.

        Args:
            thing: Its kind.
            which: Its name.
            gone: A model need not be there any more: its name alone is what MLflow keeps.

        Raises:
            UserError: There are no permissions for such things, or there is no such thing.
        """
        if thing not in THINGS:
            raise UserError(f"{thing!r} has no permissions of its own here",
                            hint=f"one of {', '.join(THINGS)}")  # fmt: skip
        if which == ALL:
            return THINGS[thing], which
        if thing == "experiment":
            found = self.ask("GET", "2.0/mlflow/experiments/get-by-name",
                             {"experiment_name": which})  # fmt: skip
            which = str(found["experiment"]["experiment_id"])
        elif not gone:
            self.ask("GET", "2.0/mlflow/registered-models/get", {"name": which})
        return THINGS[thing], which

    def granted(self, rows: Iterable[Mapping[str, Any]]) -> tuple[Grant, ...]:
        """What the server says of permissions, with the names of what they are on."""
        return tuple(map(self._grant, rows))

    def _grant(self, row: Mapping[str, Any]) -> Grant:
        kind, which = str(row["resource_type"]), str(row["resource_pattern"])
        role = str(row.get("role_name") or "")
        return Grant(
            row["permission"], kind, which, self._name(kind, which),
            "" if role.startswith(OF_ONE_USER) else role,
        )  # fmt: skip

    def _name(self, kind: str, which: str) -> str:
        if which == ALL or kind != "experiment":
            return which
        if which not in self._names:
            try:
                found = self.ask("GET", "2.0/mlflow/experiments/get", {"experiment_id": which})
                self._names[which] = str(found["experiment"]["name"])
            except UserError:
                self._names[which] = "(deleted)"
        return self._names[which]

    @cached_property
    def _trip(self) -> RoundTrip:
        """One for all that is asked: the first request reads the authorities of the machine."""
        kept = self._deployment.secrets
        return RoundTrip(
            readiness.outside(self._deployment)[0],
            secret=lambda name: kept.read(name).reveal(), login=True,
        )  # fmt: skip

    def ask(self, method: str, endpoint: str, values: dict[str, Any] | None = None) -> Any:
        """What the server answers.

        Raises:
            UserError: It says that what was asked for is wrong.
            MachineError: It does not answer.
        """
        trip, kept = self._trip, self._deployment.secrets
        url, body = f"{trip.address.url}/api/{endpoint}", None
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


def refuse_no_permission(permission: str) -> None:
    """It is one that MLflow knows.

    Raises:
        UserError: It is not.
    """
    if permission not in PERMISSIONS:
        raise UserError(f"{permission!r} is no permission", hint=f"one of {', '.join(PERMISSIONS)}")


def _said(error: RoundTripError) -> str:
    """The server's own words."""
    try:
        return _plain(str(json.loads(error.body)["message"])).rstrip(".")
    except (ValueError, LookupError, TypeError):
        return f"the server knows no such request ({error.status}); is its MLflow older than 3.17?"


def _plain(told: str) -> str:
    """Without what a database adds: a statement and its values, such as a password's hash."""
    return told.partition(" Error: ")[0].partition("[SQL")[0].strip()
