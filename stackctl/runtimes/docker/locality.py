"""Whether a Docker daemon is on this machine, whose folders it mounts and whose ports it takes.

The address does not tell: a Unix socket may be one that ssh forwards, and `tcp://` may lead back
here. What daemon and machine say of themselves does.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stackctl.errors import UserError

_HINT = (
    "run stackctl there, or choose a daemon of this machine with DOCKER_HOST or "
    "`docker context use`, or --runtime embedded"
)
# Programs that run a daemon in a virtual machine of this one, with its folders and ports in it, by
# what their daemon says: Docker Desktop, OrbStack, Rancher Desktop, Colima.
_GUESTS = ("Docker Desktop", "OrbStack", "Rancher Desktop", "colima")

_MEMINFO = Path("/proc/meminfo")


def refuse_ssh(endpoint: str) -> None:
    """The daemon is not reached by ssh, which nobody does on one machine.

    Raises:
        UserError: It is.
    """
    if endpoint.startswith("ssh://"):
        raise UserError(f"the Docker daemon at {endpoint} is on another machine", hint=_HINT)


def refuse_remote(endpoint: str, info: Mapping[str, Any]) -> None:
    """The daemon is on this machine.

    Args:
        endpoint: Its address.
        info: What it says of itself, as `docker info` does.

    Raises:
        UserError: It is on another one; also where this is a container, and it is outside.
    """
    if endpoint.startswith(("unix://", "npipe://")):
        said = f"{info.get('OperatingSystem', '')} {info.get('Name', '')}"
        if sys.platform != "linux" or any(guest in said for guest in _GUESTS):
            return
    differs = [
        f"{what} {theirs}, not {ours}"
        for what, theirs, ours in (
            ("host name", info.get("Name"), os.uname().nodename),
            ("kernel", info.get("KernelVersion"), os.uname().release),
            ("memory in bytes", info.get("MemTotal"), _memory()),
        )
        if ours is not None and theirs != ours
    ]
    if differs:
        raise UserError(
            f"the Docker daemon at {endpoint} is on another machine ({'; '.join(differs)}), where "
            "stackctl sees neither folders nor ports",
            hint=_HINT,
        )


def _memory() -> int | None:
    """In bytes; None where there is no Linux to tell."""
    # Where moby looks too: in a container of LXC the kernel itself would tell another number.
    try:
        return int(_MEMINFO.read_text(encoding="ascii").split()[1]) * 1024
    except FileNotFoundError:
        return None
