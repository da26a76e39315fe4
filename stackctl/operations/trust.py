"""By what clients know that a stack's HTTPS is its own."""

from pathlib import Path

from stackctl.deployment import Deployment
from stackctl.errors import UserError
from stackctl.operations.held import visited


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
