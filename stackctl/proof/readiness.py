"""Is a stack usable? The round trip, through every address that a client may use.

`/health` alone proves nothing: since MLflow 3.5 it answers 200 where every API call is refused
with 403 because of its Host header.
"""

import inspect
import json
import re
import sqlite3
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from stackctl.addresses import Way
from stackctl.deployment import Deployment
from stackctl.errors import NotReady
from stackctl.proof import certificate, roundtrip
from stackctl.proof.roundtrip import Address, RoundTrip, RoundTripError
from stackctl.secrets import redact

_CERTIFICATE_SECONDS = 60.0


def server_version(deployment: Deployment) -> str:
    """The MLflow version that the stack's server says it is; "" where it does not tell."""
    address = outside(deployment)[0]
    trip = RoundTrip(address, secret=lambda _name: "")
    try:
        found = trip.request("GET", f"{address.url}/version", None, "text/plain").decode()
    except RoundTripError:
        return ""
    return found.strip() if re.fullmatch(r"\s*\d+(\.\w+)+\s*", found) else ""


def prove(
    deployment: Deployment, progress: Callable[[str], None], timeout: float = _CERTIFICATE_SECONDS
) -> None:
    """Make the round trip through every address.

    Args:
        deployment: Whose.
        progress: Told of each.
        timeout: Seconds for an authority to give a certificate, where one is asked; a minute at
            the most.

    Raises:
        NotReady: One failed; the error names step, address and answer.
    """
    if deployment.settings.tls == "acme":
        certificate.wait_for(deployment, min(timeout, _CERTIFICATE_SECONDS))
    secrets, login = deployment.secrets, deployment.settings.asks_login
    for address in outside(deployment):
        trip = RoundTrip(
            address,
            secret=lambda name: secrets.read(name).reveal(),
            login=login,
            local=_through_store(deployment),
        )
        try:
            seconds = trip.run()
        except RoundTripError as error:
            raise _refused(redact(str(error), secrets.values())) from error
        progress(f"checked by use: {address} ({seconds:.1f} s)")
    inside = deployment.runtime.inside(deployment.stack, deployment.scenario, deployment.settings)
    if inside is None:
        return
    # Signed addresses are for clients, and need not lead anywhere from inside.
    address = replace(_address(inside.way, deployment), transfers=False)
    job = json.dumps({"addresses": [asdict(address)], "login": login})
    source = f"{inspect.getsource(roundtrip)}\nmain({job!r})\n"
    outcome = _outcome(inside.run_python(source))
    if "error" in outcome:
        raise _refused(redact(str(outcome["error"]), secrets.values()))
    seconds = outcome["seconds"][0]
    progress(f"checked by use: {address}, the service's name ({seconds:.1f} s)")


def outside(deployment: Deployment) -> list[Address]:
    """The addresses that a client may use: the published one, also under every public name."""
    return [_address(way, deployment) for way in deployment.addresses.ways()]


def _address(way: Way, deployment: Deployment) -> Address:
    return Address(
        url=str(way.server),
        host=way.host,
        artifacts=str(way.artifacts or ""),
        s3=way.objects,
        region=deployment.settings.region,
        direct=way.direct,
        trusted=certificate.trusted(deployment) if way.direct else "",
        transfers=deployment.addresses.transfers is not None,
        key=deployment.addresses.key(),
    )


def _outcome(printed: str) -> dict[str, Any]:
    """The line with the outcome, among warnings of whatever else wrote there."""
    for line in reversed(printed.splitlines()):
        if line.startswith('{"seconds"'):
            return dict(json.loads(line))
    raise NotReady(
        f"a check inside the container gave no outcome: {printed[-200:]!r}",
        hint="see: stackctl logs",
    )


def _through_store(deployment: Deployment) -> Callable[[str, str], None] | None:
    """The part of the round trip that a client without a server makes, where there is one."""
    if deployment.scenario.client != "store":
        return None
    store, data = deployment.backend, deployment.data

    def local(experiment: str, run: str) -> None:
        try:
            if store.read_param(data, experiment, run, "token") is None:
                raise RoundTripError(f"a run that the UI shows is not in {data}")
            store.write_tag(data, experiment, run, "stackctl.local", "written by a client")
        except (OSError, sqlite3.Error) as error:
            raise RoundTripError(f"a client cannot use {data}: {error}") from error

    return local


def _refused(text: str) -> NotReady:
    hint = "deploy with --no-check to keep it running, and see: stackctl logs"
    if "Invalid Host header" in text or "Cross-origin" in text:
        hint = "name the host in the setting public_hosts"
    elif " 401 " in text:
        hint = "the login was refused: was .secrets changed after the first deploy?"
    return NotReady(f"the stack runs but cannot be used: {text}", hint=hint)
