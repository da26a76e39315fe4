"""What the files of a stack tell of its processes: what each is, and what its guard noted."""

import contextlib
import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackctl.observed import ServiceState, State
from stackctl.pace import pace
from stackctl.render import Bundle, Service
from stackctl.runtimes.embedded import folders, probes
from stackctl.stack import Stack

Description = dict[str, Any]

# A service that ended this often during one deploy will not come up by itself.
_DEATHS = 2
# The same for one that lives long enough to be taken for started, each time.
_STARTS = 4
_GRACE_SECONDS = 60.0
# What supervisord says -> what `ServiceState` says.
_STATES: dict[str, State] = {
    "STARTING": "running",
    "RUNNING": "running",
    "STOPPING": "stopping",
    "BACKOFF": "restarting",
    "STOPPED": "stopped",
    "EXITED": "exited",
    "FATAL": "dead",
    "UNKNOWN": "dead",
}


def descriptions(stack: Stack) -> dict[str, Description]:
    """What each process of the bundle on the disk is, in the order in which they start."""
    folder = stack.bundle / "processes"
    found = {}
    for path in folder.glob("*.toml") if folder.is_dir() else ():
        with contextlib.suppress(OSError, tomllib.TOMLDecodeError):
            found[path.stem] = tomllib.loads(path.read_text(encoding="utf-8"))
    return _in_order(found)


def services(stack: Stack) -> tuple[Service, ...]:
    """The same, as a plan takes them."""
    return tuple(
        Service(name, found["image"], found["digest"], {}, bool(found.get("one_shot")))
        for name, found in descriptions(stack).items()
    )


def of_bundle(bundle: Bundle) -> dict[str, Description]:
    """What each process of a bundle that is not on the disk yet will be."""
    return {
        service.name: tomllib.loads(bundle.files[f"processes/{service.name}.toml"][0])
        for service in bundle.services
    }


def volumes_of(bundle: Bundle) -> dict[str, Path]:
    """The folder in which each service of a bundle will keep its data."""
    return {
        name: Path(description["volume"])
        for name, description in of_bundle(bundle).items()
        if "volume" in description
    }


def _in_order(found: Mapping[str, Description]) -> dict[str, Description]:
    """Dependencies before those that need them."""
    ordered: dict[str, Description] = {}

    def add(name: str) -> None:
        if name in found and name not in ordered:
            for dependency in found[name]["after"]:
                add(dependency)
            ordered[name] = found[name]

    for name in sorted(found):
        add(name)
    return ordered


def sockets(stack: Stack) -> list[Path]:
    """Sockets of this user that killed processes left outside the stack's folder."""
    named = [Path(path) for wanted in descriptions(stack).values()
             for path in wanted.get("sockets", ())]  # fmt: skip
    return [path for path in named
            if path.is_socket() and path.lstat().st_uid == os.geteuid()]  # fmt: skip


def waves(wanted: Mapping[str, Description], names: list[str]) -> list[list[str]]:
    """The order in which to stop processes: those that keep data after those that use them.

    SeaweedFS waits up to half a minute for connections that MLflow holds.
    """
    users = [name for name in names if "volume" not in wanted.get(name, {})]
    return [wave for wave in (users, [name for name in names if name not in users]) if wave]


def notes(stack: Stack) -> dict[str, Description]:
    """What the guards wrote down of the processes that they started."""
    notes = {}
    for path in folders.run(stack).glob("*.json") if folders.run(stack).is_dir() else ():
        with contextlib.suppress(OSError, ValueError):
            notes[path.stem] = json.loads(path.read_text(encoding="utf-8"))
    return notes


def is_hopeless(state: ServiceState, starts: int) -> bool:
    """A service will not come up by itself, after so many starts."""
    if state.state == "exited":
        return state.exit_code != 0
    if state.health != "healthy" and starts > _STARTS:
        return True
    return state.state == "dead" or (state.state == "restarting" and starts >= _DEATHS)


def state_of(
    name: str,
    description: Mapping[str, Any],
    process: Mapping[str, Any] | None,
    note: Mapping[str, Any],
    known_ready: bool,
) -> ServiceState:
    """What supervisord, the guard's note and the probe tell of one service."""
    state: State = "stopped" if process is None else _STATES[process["statename"]]
    health = ""
    if state == "running" and "ready" in description:
        current = note.get("digest") == description["digest"]
        if current and (known_ready or probes.ready(description["ready"])):
            health = "healthy"
        else:
            age = process["now"] - process["start"] if process else 0
            health = "starting" if age < _GRACE_SECONDS * pace() else "unhealthy"
    return ServiceState(
        name=name,
        state=state,
        health=health,
        exit_code=process["exitstatus"] if process and state in ("exited", "dead") else 0,
        digest=note.get("digest", ""),
        once=bool(description.get("one_shot")),
        program=description["image"],
        ports=tuple(description.get("published", ())) if state == "running" else (),
    )
