"""What MLflow's own login knows (`auth=basic`)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stackctl import readiness
from stackctl.errors import NotReady
from stackctl.roundtrip import RoundTrip, RoundTripError
from stackctl.secrets import redact
from stackctl.settings import Settings
from stackctl.stores.credentials import Credential

if TYPE_CHECKING:
    from stackctl.operations.site import Site


class AdminPassword(Credential):
    """The password of the user `admin`.

    A server takes the old one for a minute more, from a cache of its own; see _auth.sh.j2.
    """

    names = ("admin_password",)

    def change(self, site: "Site", old: Sequence[str] | None, new: Sequence[str]) -> None:
        """In the login's own tables, by MLflow."""
        site.ask("password-login", new=new[0])

    def taken(self, site: "Site", values: Sequence[Sequence[str]]) -> list[bool]:
        """As the server says."""
        return [_lets_in(site, value) for (value,) in values]


class SessionKey(Credential):
    """The key with which servers sign a browser's session. Nobody but them has it."""

    names = ("flask_secret_key",)


def credentials(settings: Settings) -> list[Credential]:
    """Those that the login has, where there is one."""
    return [AdminPassword(), SessionKey()] if settings.auth == "basic" else []


def _lets_in(site: "Site", password: str) -> bool:
    address = readiness.outside(site.scenario, site.settings)[0]
    trip = RoundTrip(address, secret=lambda _: password, login=True)
    path = "api/2.0/mlflow/experiments/search?max_results=1"
    try:
        trip.request("GET", f"{address.url}/{path}", None, "application/json")
    except RoundTripError as error:
        if ": 401 " not in str(error):
            text = redact(str(error), site.stack.secrets.values())
            raise NotReady(
                f"the login does not answer: {text}", hint="see: stackctl logs"
            ) from error
        return False
    return True
