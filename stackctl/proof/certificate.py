"""The certificate that a stack shows its clients: is there one, and by what is it known here?"""

import json
import socket
import ssl
import time
from pathlib import Path

from stackctl.addresses import published
from stackctl.deployment import Deployment
from stackctl.errors import NotReady
from stackctl.pace import Patience

_PAUSE = 0.5
_LINES = 200
_END = "-----END CERTIFICATE-----"


def kept(deployment: Deployment) -> Path | None:
    """The file of the certificate that clients know the stack by; None where there is none."""
    settings, secrets = deployment.settings, deployment.secrets.path
    if settings.tls == "internal":
        return secrets / "ca_certificate"
    if settings.tls == "files":
        return secrets / "tls_certificate"
    if settings.tls == "acme":
        host = _host(deployment)
        found = (deployment.stack.proxy_state / "certificates").glob(f"*/{host}/{host}.crt")
        # A directory that was asked before may have left one.
        return max(found, key=lambda path: path.stat().st_mtime, default=None)
    return None


def trusted(deployment: Deployment) -> str:
    """The file of a certificate that this machine need not know, by which the stack is known.

    "" where there is none.
    """
    settings = deployment.settings
    if settings.tls == "acme" and not settings.acme_directory:
        return ""
    return str(kept(deployment) or "")


def wait_for(deployment: Deployment, seconds: float) -> None:
    """Until there is a certificate; an old one will do.

    Raises:
        NotReady: The authority gave none, with what it said.
    """
    patience = Patience(seconds)
    while not _is_served(deployment):
        if patience.is_over():
            raise NotReady(
                f"{_authority(deployment)} gave no certificate for {_host(deployment)} within "
                f"{seconds:.0f} s{_said(deployment)}",
                hint="it has to reach this machine by that name at port 80 or 443; with --no-check "
                "the stack stays, and the proxy goes on asking: stackctl logs proxy",
            )
        time.sleep(_PAUSE)


def is_outdated(deployment: Deployment) -> bool:
    """What is shown is not of the stack's own files as they are; not so where nothing is shown."""
    if deployment.settings.tls not in ("internal", "files"):
        return False
    try:
        kept = Path(trusted(deployment)).read_text(encoding="utf-8")
        if deployment.settings.tls == "files":
            shown = _shown(deployment, _anybody())
            return shown != ssl.PEM_cert_to_DER_cert(kept.partition(_END)[0] + _END)
        known = ssl.create_default_context(cadata=kept)
        return not _shown(deployment, known)
    except ssl.SSLCertVerificationError:
        return True
    except (OSError, ValueError):
        # Whoever has to read the file says what is wrong with it.
        return False


def _is_served(deployment: Deployment) -> bool:
    try:
        return bool(_shown(deployment, _anybody()))
    except OSError:
        return False


def _anybody() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Whether it is a good one, the round trip finds.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def _shown(deployment: Deployment, context: ssl.SSLContext) -> bytes:
    """The certificate that the stack shows, in DER.

    Raises:
        OSError: It shows none, or one that `context` does not take.
    """
    here = published(deployment.settings, "port")
    with (
        socket.create_connection((here.host, here.port), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=_host(deployment)) as wrapped,
    ):
        return wrapped.getpeercert(binary_form=True) or b""


def _said(deployment: Deployment) -> str:
    """The last thing that went wrong, as the proxy tells it."""
    lines = deployment.runtime.logs(deployment.stack, "proxy", follow=False, tail=_LINES)
    errors = []
    for line in lines:
        try:
            entry = json.loads(line[line.index("{") :])
        except ValueError:
            continue
        if entry.get("level") == "error" and str(entry.get("logger", "")).startswith("tls"):
            errors.append(f"{entry.get('msg')}: {entry.get('error')}")
    return f"; it said: {errors[-1]}" if errors else ""


def _host(deployment: Deployment) -> str:
    address = deployment.settings.address
    return address.host if address else ""


def _authority(deployment: Deployment) -> str:
    return deployment.settings.acme_directory or "Let's Encrypt"
