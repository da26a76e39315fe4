"""The secrets of a stack's login."""

from collections.abc import Sequence

from stackctl.deployment import Deployment
from stackctl.errors import NotReady
from stackctl.progress import Progress
from stackctl.proof import readiness
from stackctl.proof.roundtrip import RoundTrip, RoundTripError
from stackctl.secrets import redact
from stackctl.stores.credentials import Credential
from stackctl.stores.reach import Reach


class AdminPassword(Credential):
    """The password of the user `admin` (`auth=basic`).

    A server takes the old one for a minute more, from a cache of its own; see _auth.sh.j2.
    """

    names = ("admin_password",)

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    def change(
        self, reach: Reach, old: Sequence[str] | None, new: Sequence[str], progress: Progress
    ) -> None:
        """In the login's own tables, by MLflow."""
        reach.ask("password-login", new=new[0])

    def taken(self, reach: Reach, values: Sequence[Sequence[str]]) -> list[bool]:
        """As the server says."""
        return [_lets_in(self._deployment, value) for (value,) in values]


class AdminToken(AdminPassword):
    """That with which `admin` comes in past the provider (`auth=oidc`).

    A server takes what is in the file when it starts, and nothing else from then on.
    """

    def change(
        self, reach: Reach, old: Sequence[str] | None, new: Sequence[str], progress: Progress
    ) -> None:
        """Nothing: the servers start anew."""


class ClientSecret(Credential):
    """What the OpenID provider knows the stack by."""

    names = ("oidc_client_secret",)
    foreign = (
        "the provider gave it",
        "have it give another, put that into oidc_client_secret, and run stackctl deploy",
    )


class SessionKey(Credential):
    """The key with which servers sign a browser's session. Nobody but them has it."""

    names = ("flask_secret_key",)


def credentials(deployment: Deployment) -> list[Credential]:
    """Those that the login has, where there is one."""
    if deployment.settings.auth == "oidc":
        return [AdminToken(deployment), SessionKey(), ClientSecret()]
    if deployment.settings.auth == "basic":
        return [AdminPassword(deployment), SessionKey()]
    return []


def _lets_in(deployment: Deployment, password: str) -> bool:
    address = readiness.outside(deployment)[0]
    trip = RoundTrip(address, secret=lambda _: password, login=True)
    path = "api/2.0/mlflow/experiments/search?max_results=1"
    try:
        trip.request("GET", f"{address.url}/{path}", None, "application/json")
    except RoundTripError as error:
        if error.status != 401:
            text = redact(str(error), deployment.secrets.values())
            raise NotReady(
                f"the login does not answer: {text}", hint="see: stackctl logs"
            ) from error
        return False
    return True
