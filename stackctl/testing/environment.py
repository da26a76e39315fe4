"""A client's environment in this process, and this process as it was before.

What a program told MLflow by its functions comes before the environment, and MLflow keeps it in
variables of its modules (3.17.2): an experiment of one stack would be looked for in the next.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from stackctl.client.environment import ClientEnvironment

# Beside all of MLFLOW_TRACKING_*: what would lead a client past the stack.
_ASTRAY = (
    "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME", "MLFLOW_REGISTRY_URI", "MLFLOW_RUN_ID",
)  # fmt: skip
_FLUENT = "mlflow.tracking.fluent"


class Hidden(str):
    """A value that is used like any other and is not shown by `repr`, whatever it is part of."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'[redacted]'"


def plain(variables: ClientEnvironment) -> dict[str, str]:
    """The variables with their values; those of secrets are `Hidden`."""
    return {
        name: Hidden(value) if name in variables.files else value
        for name, value in variables.applied({}).items()
    }


@contextmanager
def applied(variables: ClientEnvironment) -> Iterator[None]:
    """Have this process be a client; at the end its environment and MLflow are as before.

    Runs that were begun within and are still active at the end are ended.
    """
    before = dict(os.environ)
    kept = {name: value for name, value in before.items() if not _leads_astray(name)}
    wanted = variables.applied(kept)
    changed = {name for name in {*before, *wanted} if before.get(name) != wanted.get(name)}
    told = _Told.now()
    _Told().tell()
    _change(wanted, changed)
    try:
        yield
    finally:
        if not told.in_a_run:
            _end_runs()
        told.tell()
        _change(before, changed | {name for name in {*os.environ, *before} if _of_mlflow(name)})


@dataclass(frozen=True)
class _Told:
    """What MLflow was told by its functions; nothing where it was not imported."""

    tracking_uri: str | None = None
    registry_uri: str | None = None
    experiment: str | None = None
    in_a_run: bool = False

    @classmethod
    def now(cls) -> "_Told":
        mlflow = _imported("mlflow")
        if mlflow is None:
            return cls()
        tracking = _imported("mlflow.tracking._tracking_service.utils")
        registry = _imported("mlflow.tracking._model_registry.utils")
        return cls(
            getattr(tracking, "_tracking_uri", None),
            getattr(registry, "_registry_uri", None),
            getattr(_imported(_FLUENT), "_active_experiment_id", None),
            mlflow.active_run() is not None,
        )

    def tell(self) -> None:
        """Tell MLflow the same, or, where it is nothing, to look at the environment again."""
        mlflow = _imported("mlflow")
        if mlflow is not None:
            mlflow.set_tracking_uri(self.tracking_uri)
            mlflow.set_registry_uri(self.registry_uri)
            vars(_imported(_FLUENT))["_active_experiment_id"] = self.experiment


def _end_runs() -> None:
    mlflow = _imported("mlflow")
    while mlflow is not None and mlflow.active_run() is not None:
        mlflow.end_run()


def _imported(module: str) -> Any:
    """The module, where this process has imported it: it takes seconds, and need not be there."""
    return sys.modules.get(module)


def _leads_astray(name: str) -> bool:
    return name.startswith("MLFLOW_TRACKING_") or name in _ASTRAY


def _of_mlflow(name: str) -> bool:
    return name.startswith("MLFLOW_")


def _change(wanted: Mapping[str, str], names: set[str]) -> None:
    for name in names:
        if name in wanted:
            os.environ[name] = wanted[name]
        else:
            os.environ.pop(name, None)
