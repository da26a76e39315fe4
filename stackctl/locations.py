"""Where MLflow says that a stack's artifacts are: the beginnings of the locations in its rows."""

from collections.abc import Sequence
from pathlib import Path

from stackctl.addresses import Addresses
from stackctl.scenario import Scenario
from stackctl.settings import Settings

_PROXY = "mlflow-artifacts:"


def roots(scenario: Scenario, settings: Settings, data: Path) -> list[str]:
    """What the locations of a stack's artifacts begin with, in an order that two stacks share."""
    if scenario.writer == "client" and not scenario.artifact_kind.local:
        # A client may have named another place in the bucket.
        return [f"s3://{settings.bucket}"]
    return _forms(scenario, root(scenario, settings, data))


def own(scenario: Scenario, settings: Settings, data: Path) -> list[str]:
    """Beginnings of locations whose artifacts are in a stack's own store, however they are said."""
    bucket = [] if scenario.artifact_kind.local else [f"s3://{settings.bucket}"]
    return [*roots(scenario, settings, data), *bucket]


def root(scenario: Scenario, settings: Settings, data: Path) -> str:
    """Below which a stack keeps the artifacts of an experiment, as `ROOT/EXPERIMENT`."""
    if scenario.artifact_kind.local:
        return f"{data}/mlruns"
    if scenario.writer == "client":
        return f"s3://{settings.bucket}/artifacts"
    # Without a server of their own for artifacts, clients ask the one that they use.
    if scenario.writer == "artifacts-server":
        return Addresses(scenario, settings).artifacts_location()
    return _PROXY


def moves(scenario: Scenario, settings: Settings, data: Path, there: str) -> list[tuple[str, str]]:
    """Pairs of each beginning that a stack's locations may have, and the root of another stack."""
    forms = _forms(scenario, root(scenario, settings, data))
    return [(old, there) for old in forms if old != there]


def _forms(scenario: Scenario, place: str) -> list[str]:
    return [place, f"file://{place}"] if scenario.artifact_kind.local else [place]


def relocations(old: Sequence[str], new: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of an old and a new beginning, where they differ."""
    return [(a, b) for a, b in zip(old, new, strict=False) if a != b]
