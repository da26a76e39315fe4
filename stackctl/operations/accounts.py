"""Accounts of MLflow's own login on their way from a stack to another."""

from dataclasses import dataclass

from stackctl.deployment import Deployment
from stackctl.errors import UserError

_CHUNK = 1 << 16


@dataclass(frozen=True)
class Accounts:
    """Who may log in at a stack, and what they may do.

    Attributes:
        deployment: Which stack.
        users: How many there are beside its administrator.
        revision: The version of MLflow's tables for them.
        vouched_for: An OpenID provider knows them; what they may do is not in MLflow's tables.
    """

    deployment: Deployment
    users: int = 0
    revision: str = ""
    vouched_for: bool = False

    @property
    def told(self) -> str:
        """How many, in words."""
        return f"{self.users} user{'s' if self.users != 1 else ''}"


def of(deployment: Deployment) -> Accounts | None:
    """Those of a stack; None where nobody has to log in, or nobody but its administrator may."""
    if deployment.settings.auth == "oidc":
        return Accounts(deployment, vouched_for=True)
    if deployment.settings.auth != "basic":
        return None
    found = deployment.ask("accounts-look")
    return Accounts(deployment, found["users"], found["revision"]) if found["users"] else None


def outlook(accounts: Accounts | None, target: Deployment) -> list[str]:
    """That they come along, or stay, where the target asks nobody to log in."""
    if accounts is None:
        return []
    if accounts.vouched_for:
        return [
            f"what people may do at stack {accounts.deployment.stack.name!r} stays behind: "
            "auth=oidc keeps it in tables of its own, and only a backup takes those along"
        ]
    if moving(accounts, target):
        return [f"{accounts.told} will come along with passwords, roles and permissions"]
    return [
        f"{accounts.told} with roles and permissions stay behind: stack {target.stack.name!r} has "
        f"{'another' if target.settings.asks_login else 'no'} login; to take them along, set "
        "auth=basic for it"
    ]


def moving(accounts: Accounts | None, target: Deployment) -> Accounts | None:
    """Those that the target can take."""
    taken = accounts is not None and not accounts.vouched_for and target.settings.auth == "basic"
    return accounts if taken else None


def refuse_another_schema(accounts: Accounts, target: Deployment) -> None:
    """Their tables are the same on both sides.

    Raises:
        UserError: They are not.
    """
    there = target.ask("accounts-look")["revision"]
    if there != accounts.revision:
        raise UserError(
            f"the login of stack {accounts.deployment.stack.name!r} has the schema "
            f"{accounts.revision}, and that of {target.stack.name!r} {there}",
            hint="first bring the older one to the newer's: stackctl upgrade; nothing was copied",
        )


def copy(accounts: Accounts, target: Deployment) -> str:
    """Have the target know them alone, and its own administrator; returns what was done."""
    origin = accounts.deployment
    with origin.courier("accounts-out") as rows, target.courier("accounts-in") as taken:
        while chunk := rows.stdout.read(_CHUNK):
            taken.stdin.write(chunk)
        taken.stdin.close()
        taken.stdout.read()
    return (
        f"{accounts.told} came along with passwords, roles and permissions; admin has the password "
        f"of stack {target.stack.name!r}"
    )
