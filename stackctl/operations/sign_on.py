"""The OpenID provider of a stack with single sign-on, looked at before anybody relies on it."""

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping

from stackctl.deployment import Deployment
from stackctl.errors import BadSetting
from stackctl.progress import Progress
from stackctl.settings import Settings
from stackctl.stack import Manifest

_SECONDS, _BYTES = 10, 1 << 20
# Without these nobody can log in by a code (OpenID Connect Discovery 1.0, section 3).
_NEEDED = ("authorization_endpoint", "token_endpoint", "jwks_uri")


def problem(settings: Settings) -> str:
    """Why nobody could log in at the provider, in words; "" where nothing speaks against it."""
    address, issuer = settings.oidc.discovery, settings.oidc.issuer
    try:
        with urllib.request.urlopen(address, timeout=_SECONDS) as answer:  # noqa: S310 - http(s)
            found = json.loads(answer.read(_BYTES))
    except urllib.error.HTTPError as error:
        return f"{address} answers {error.code}, and no discovery document"
    except OSError as error:
        return f"{address} does not answer: {getattr(error, 'reason', error)}"
    except (ValueError, http.client.HTTPException):
        found = None
    if not isinstance(found, Mapping):
        return f"{address} answers something else than a discovery document"
    if (said := found.get("issuer")) != issuer:
        return f"it calls itself {said!r}, and a token of it would be refused"
    if lacks := [name for name in _NEEDED if not isinstance(found.get(name), str)]:
        return f"{address} lacks {', '.join(lacks)}"
    return ""


def refuse_unusable(deployment: Deployment, before: Manifest | None, progress: Progress) -> None:
    """A provider that is relied on anew is one; one that was is told where it does not answer.

    Raises:
        BadSetting: It is none.
    """
    settings = deployment.settings
    if settings.auth != "oidc" or not (why := problem(settings)):
        return
    relied_on = before.settings.get("oidc", {}) if before and before.deployed_at else {}
    if relied_on.get("issuer") != settings.oidc.issuer:
        raise BadSetting(
            "oidc.issuer", settings.oidc.issuer,
            deployment.effective.sources.get("oidc.issuer", "default"),
            f"{why}; is the address right, and does it answer this machine?",
        )  # fmt: skip
    progress(f"nobody can log in anew at {settings.oidc.issuer}: {why}")
