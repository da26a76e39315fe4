"""What a failure of Docker or of a service means, and what to do about it. Pure.

Text that comes in here is already free of secrets.
"""

import re
from collections.abc import Mapping

from stackctl.errors import MachineError, NotReady
from stackctl.observed import ServiceState

# How many of the last lines of a log are shown, and how many are searched for a cause.
_SHOWN_LINES = 15
LOG_LINES = 400

# What a service's log says -> what to do.
_CAUSES = {
    "password authentication failed": (
        "the database was made with another password than the file holds: put that value back"
    ),
    "Access denied for user": (
        "the database was made with another password than the file holds: put that value back"
    ),
    "out-of-date database schema": (
        "the data was last used by a newer MLflow than this one; use that version"
    ),
    "database files are incompatible with server": (
        "the data was made by another major version of PostgreSQL; use that version"
    ),
    "No space left on device": "free some disk space, then deploy again",
    "Cannot disable workspaces because": (
        "set workspaces=true, or first move what is in other workspaces into the default one"
    ),
    "Error: No such option": "take that option out of server.args: this MLflow has none",
    "Error: Invalid value for": "give that option of server.args a value that MLflow takes",
    "does not take a value": "that option of server.args takes none: write true as its value",
}

# How pip and uv name what no index has.
_NO_PACKAGE = re.compile(
    r"No matching distribution found for (\S+)|there (?:is|are) no versions? of (\S+)"
    r"|(\S+) was not found in the (?:provided )?package"
)


def unreachable(host: str, error: Exception) -> MachineError:
    """No daemon answers at `host`."""
    text = str(error)
    if "PermissionError" in text or "Permission denied" in text:
        return MachineError(
            f"this user may not use the Docker daemon at {host} (permission denied)",
            hint="add the user to the group `docker` and log in again, or use rootless Docker",
        )
    if "FileNotFoundError" in text or "Connection refused" in text or "ConnectionRefused" in text:
        reason = "nothing listens there"
    else:
        reason = text.splitlines()[0][:200] if text else type(error).__name__
    return MachineError(
        f"no Docker daemon answers at {host}: {reason}",
        hint="start Docker, or set DOCKER_HOST to a daemon that runs",
    )


def missing_package(output: str) -> str:
    """What pip or uv looked for and no index has, as `mlflow-skinny==3.18.0`; "" if all was there.

    The parts of a release may come to an index later than the release itself.
    """
    found = _NO_PACKAGE.search(output)
    return next(name for name in found.groups() if name) if found else ""


def no_image(image: str, verb: str, output: str) -> MachineError:
    """An image was not `built` or `pulled`."""
    if verb == "built" and (missing := missing_package(output)):
        return MachineError(
            f"image {image} cannot be built: the package index has no {missing}",
            hint="wait until it has, or choose another release",
        )
    if verb == "built":
        hint = "see the lines below; behind a proxy, configure it for the Docker daemon"
    elif image.startswith("minio/"):
        hint = (
            "MinIO's images left Docker Hub in September 2026: name one that you hold with "
            "--set images.minio=IMAGE, or use --set object_store=seaweedfs"
        )
    else:
        hint = "check name and network, `docker login`, or name another with --set images.…=IMAGE"
    details = "\n".join(f"  {line}" for line in output.splitlines()[-_SHOWN_LINES:])
    return MachineError(
        f"image {image} cannot be {verb}: {last_line(output)}",
        hint=hint,
        details=details if verb == "built" else "",
    )


def culprit(failed: list[str], states: Mapping[str, ServiceState]) -> str | None:
    """Which of the failed services is the cause, given in start order; None where none tells.

    One that ended badly comes before one that only is not healthy yet; what was never started
    waits for another.
    """

    def guilt(name: str) -> int:
        state = states.get(name)
        if state is None or state.state == "created":
            return 0
        if state.state in ("exited", "dead", "restarting"):
            return 3
        return 2 if state.health == "unhealthy" else 1

    return max(failed, key=guilt) if failed else None


def not_ready(name: str, state: ServiceState | None, lines: list[str]) -> NotReady:
    """Service `name` did not become ready; `lines` are the last of its log."""
    telling = next((line for line in reversed(lines) if cause(line)), "")
    shown = lines[-_SHOWN_LINES:]
    if telling and telling not in shown:
        shown = [telling, "…", *shown]
    return NotReady(
        f"service {name} did not become ready: it is {state or 'not there'}",
        hint=_mend(name, state, telling),
        details="\n".join([f"its last log lines ({name}):", *(f"  {line}" for line in shown)]),
    )


def cause(line: str) -> str:
    """What to do about what a line of a log says; "" where nobody knows."""
    found = (mend for words, mend in _CAUSES.items() if words.lower() in line.lower())
    return next(found, "")


def _mend(name: str, state: ServiceState | None, telling: str) -> str:
    if state is not None and state.out_of_memory:
        return f"it was ended for using too much memory: give it more with --set memory.{name}=SIZE"
    if telling:
        return cause(telling)
    if state is not None and state.health == "starting":
        return "it may only need longer: give it more with --timeout SECONDS"
    return "its last log lines are below"


def not_started(stack: str, output: str) -> NotReady:
    """Compose failed before any service did."""
    return NotReady(
        f"stack {stack!r} did not start: {last_line(output)}", hint="see: stackctl logs"
    )


def last_line(output: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no reason was given"
