"""Is a stack usable? The round trip, through every address that a client may use.

`/health` alone proves nothing: since MLflow 3.5 it answers 200 where every API call is refused
with 403 because of its Host header.
"""

import hashlib
import inspect
import json
import re
import sqlite3
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stackctl import roundtrip
from stackctl.errors import NotReady
from stackctl.roundtrip import Address, RoundTrip, RoundTripError
from stackctl.runtimes.base import Runtime
from stackctl.scenario import Scenario
from stackctl.secrets import redact
from stackctl.settings import Settings
from stackctl.stack import Stack


def server_version(scenario: Scenario, settings: Settings) -> str:
    """The MLflow version that the stack's server says it is; "" where it does not tell."""
    address = outside(scenario, settings)[0]
    trip = RoundTrip(address, secret=lambda _name: "")
    try:
        found = trip.request("GET", f"{address.url}/version", None, "text/plain").decode()
    except RoundTripError:
        return ""
    return found.strip() if re.fullmatch(r"\s*\d+(\.\w+)+\s*", found) else ""


def prove(
    stack: Stack,
    scenario: Scenario,
    settings: Settings,
    runtime: Runtime,
    progress: Callable[[str], None],
) -> None:
    """Make the round trip through every address.

    Raises:
        NotReady: One failed; the error names step, address and answer.
    """
    for address in outside(scenario, settings):
        trip = RoundTrip(
            address,
            secret=lambda name: stack.secrets.read(name).reveal(),
            login=settings.auth == "basic",
            local=_through_store(scenario, stack.data(settings.data)),
        )
        try:
            seconds = trip.run()
        except RoundTripError as error:
            raise _refused(redact(str(error), stack.secrets.values())) from error
        progress(f"checked by use: {address} ({seconds:.1f} s)")
    inside = runtime.inside(stack, scenario, settings)
    if inside is None:
        return
    job = json.dumps({"addresses": [asdict(inside.address)], "login": settings.auth == "basic"})
    source = f"{inspect.getsource(roundtrip)}\nmain({job!r})\n"
    outcome = _outcome(inside.run_python(source))
    if "error" in outcome:
        raise _refused(redact(str(outcome["error"]), stack.secrets.values()))
    seconds = outcome["seconds"][0]
    progress(f"checked by use: {inside.address}, the service's name ({seconds:.1f} s)")


def _outcome(printed: str) -> dict[str, Any]:
    """The line with the outcome, among warnings of whatever else wrote there."""
    for line in reversed(printed.splitlines()):
        if line.startswith('{"seconds"'):
            return dict(json.loads(line))
    raise NotReady(
        f"a check inside the container gave no outcome: {printed[-200:]!r}",
        hint="see: stackctl logs",
    )


def outside(scenario: Scenario, settings: Settings) -> list[Address]:
    """The addresses on the machine: the published one, also under every public name."""
    host = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 - compared
    names = [name if ":" in name else f"{name}:{settings.port}" for name in settings.public_hosts]
    return [
        Address(
            url=f"http://{host}:{settings.port}",
            host=name,
            artifacts=(
                f"http://{host}:{settings.artifacts_port}"
                if scenario.writer == "artifacts-server"
                else ""
            ),
            s3=(
                settings.object_store_endpoint
                if settings.object_store == "external"
                else f"http://{host}:{settings.object_store_port}"
            ),
            region=settings.region,
            key=location_key(settings),
        )
        for name in ["", *names]
    ]


def location_key(settings: Settings) -> str:
    """Tells checks of different artifact locations apart."""
    places = [settings.bucket, settings.bind, settings.public_hosts, settings.artifacts_port]
    return hashlib.sha256(json.dumps(places).encode()).hexdigest()[:8]


def _through_store(scenario: Scenario, data: Path) -> Callable[[str, str], None] | None:
    """The part of the round trip that a client without a server makes, where there is one."""
    if scenario.client != "store":
        return None
    store = scenario.backend_store

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
