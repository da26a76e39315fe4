"""gc: what clients deleted in MLflow, taken away for good, with its artifacts."""

import re
import time
from dataclasses import dataclass
from typing import Any

from stackctl import locations
from stackctl.deployment import Deployment
from stackctl.errors import UserError
from stackctl.operations.held import held
from stackctl.versions import older

# The first with logged models (mlflow/store/tracking/).
_FIRST = "3.0.0"
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


@dataclass(frozen=True)
class Deleted:
    """What was deleted long enough ago.

    Attributes:
        things: Each with `kind`, `id`, `name`, `experiment`, `bytes` and `traces`.
        kept: What was deleted and stays: `what`, and `why`.
        gone: The ids of those that are no longer there.
    """

    things: list[dict[str, Any]]
    kept: list[dict[str, str]]
    gone: list[str]


def seconds(text: str) -> int:
    """An age such as `30d` or `1d12h`.

    Raises:
        UserError: It is none.
    """
    if not re.fullmatch(r"(\d+[dhms])+", text):
        raise UserError(
            f"--older-than {text!r} is no age", hint="write it as 30d, 12h, or 1d12h30m10s"
        )
    return sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)([dhms])", text))


def gc(deployment: Deployment, older_than: int, *, delete: bool) -> Deleted:
    """Find what was deleted more than `older_than` seconds ago; delete it where that is asked for.

    Raises:
        MachineError: The stack does not run, or a store failed; the same call again goes on.
    """
    scenario = deployment.scenario
    with held(deployment):
        _refuse_early_mlflow(deployment)
        job = {
            "before": max(0, int((time.time() - older_than) * 1000)),
            "roots": locations.roots(scenario, deployment.settings, deployment.data),
            "bucket": "" if scenario.artifact_kind.local else deployment.settings.bucket,
        }
        told = deployment.ask("gc-delete" if delete else "gc-list", **job)
    return Deleted(told["things"], told["kept"], told.get("deleted", []))


def _refuse_early_mlflow(deployment: Deployment) -> None:
    version = deployment.settings.mlflow_version
    if older(version, _FIRST):
        raise UserError(
            f"stack {deployment.stack.name!r} has MLflow {version}, and gc needs {_FIRST} or newer",
            hint=f"bring it to a newer one: stackctl upgrade {deployment.stack.name}",
        )
