"""By what clients know that a stack's HTTPS is its own, and who changes that."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from stackctl.deployment import Deployment
from stackctl.errors import UserError
from stackctl.operations.held import visited
from stackctl.proof import certificate
from stackctl.settings import Settings
from stackctl.stores.credentials import Credential

# Before that time somebody has to do something; Caddy renews when a third of a certificate's time
# is left, which are 30 days of Let's Encrypt's 90.
_SOON = {"internal": timedelta(days=90), "files": timedelta(days=30), "acme": timedelta(days=14)}
_MEND = {
    "internal": "take ca_key and ca_certificate away, run stackctl deploy, and tell clients of the "
    "new authority",
    "files": "put another into tls_certificate, its key into tls_key, and run stackctl deploy",
    "acme": "why it was not renewed stands in: stackctl logs proxy",
}


@dataclass(frozen=True)
class Expiry:
    """When the certificate that clients know a stack by ends.

    Attributes:
        until: That moment.
        mend: What to do; "" where it is far off.
    """

    until: datetime
    mend: str

    def __str__(self) -> str:
        return f"{self.until:%Y-%m-%d}, in {(self.until - datetime.now(UTC)).days} days"


def expiry(deployment: Deployment) -> Expiry | None:
    """As its file says; None where there is none, or it is none."""
    path, tls = certificate.kept(deployment), deployment.settings.tls
    if path is None:
        return None
    from stackctl.certificates import ends

    try:
        until = ends(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return Expiry(until, _MEND[tls] if until - datetime.now(UTC) < _SOON[tls] else "")


def laxity(deployment: Deployment) -> str:
    """Why strict clients refuse the user's own certificate; "" where they do not."""
    from stackctl.certificates import laxity as of_chain

    if deployment.settings.tls != "files" or not (path := certificate.kept(deployment)):
        return ""
    try:
        return of_chain(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""


class Certificate(Credential):
    """What the proxy shows, with its key."""

    servers_use_it = False

    def __init__(self, *names: str, foreign: tuple[str, str]) -> None:
        self.names, self.foreign = names, foreign


def credentials(settings: Settings) -> list[Credential]:
    """Those that HTTPS has, where it has some; none is one that nobody else would have to know."""
    if settings.tls == "internal":
        why = "every client was told to trust it"
        hint = (
            "for another one take both files away, run stackctl deploy, and give clients what "
            "stackctl trust prints"
        )
        return [Certificate("ca_certificate", "ca_key", foreign=(why, hint))]
    if settings.tls == "files":
        why, hint = "who issued it makes another", "put that into the files, then: stackctl deploy"
        return [Certificate("tls_certificate", "tls_key", foreign=(why, hint))]
    return []


def authority(deployment: Deployment) -> Path:
    """The file of the certificate of the stack's own authority.

    Raises:
        UserError: It has none.
        BadSecret: The file is not what it should be.
    """
    visited(deployment, running=False)
    name, tls = deployment.stack.name, deployment.settings.tls
    if tls != "internal":
        why = {
            "off": "it has no HTTPS",
            "elsewhere": "its HTTPS ends at another proxy, whose certificate is known there",
        }.get(tls, "clients know the authority of its certificate, or its owner has it")
        raise UserError(
            f"stack {name!r} has no authority of its own: tls={tls}, {why}",
            hint="one of its own comes with --set tls=internal",
        )
    deployment.secrets.read("ca_certificate")
    return deployment.secrets.path / "ca_certificate"
