"""By what clients know that a stack's HTTPS is its own, and who changes that."""

from pathlib import Path

from stackctl.deployment import Deployment
from stackctl.errors import UserError
from stackctl.operations.held import visited
from stackctl.settings import Settings
from stackctl.stores.credentials import Credential


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
