"""Where a stack of processes has its sockets, logs and volumes, and what its manifest keeps of it.

.stackctl/NAME/run/     sockets, marks and what is on its way
.stackctl/NAME/logs/    the services' logs
"""

from collections.abc import Mapping
from pathlib import Path

from stackctl.stack import Stack


def run(stack: Stack) -> Path:
    """Sockets, marks and what is on its way."""
    return stack.folder / "run"


def logs(stack: Stack) -> Path:
    """The logs of the services."""
    return stack.folder / "logs"


def volumes(stack: Stack) -> dict[str, Path]:
    """The folder of each volume since the first deploy, also where the home was moved since."""
    manifest = stack.manifest()
    if manifest is None:
        return {}
    kept: Mapping[str, str] = manifest.kept.get("volumes", {})
    return {name: stack.as_of_now(manifest, folder) for name, folder in kept.items()}


def ports(stack: Stack) -> dict[str, int]:
    """The ports that were chosen for listeners which only the stack itself uses."""
    manifest = stack.manifest()
    return dict(manifest.kept.get("ports", {})) if manifest is not None else {}
