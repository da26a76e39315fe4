"""Places of artifacts that are none of a stack's own, by what rows or files say."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from stackctl.courier.counting import OWN


class Experiment(NamedTuple):
    """Its name, and where it has new artifacts be written."""

    name: str
    location: str


class Located(NamedTuple):
    """What has artifacts of its own: its kind, its id, the id of its experiment, and where."""

    kind: str
    id: str
    experiment: str
    location: str


@dataclass
class _Place:
    location: str
    experiment: str
    name: str
    counts: Counter[str] = field(default_factory=Counter)
    folders: list[str] = field(default_factory=list)


def places(
    roots: Sequence[str], experiments: Mapping[str, Experiment], things: Iterable[Located]
) -> list[dict[str, Any]]:
    """Each place that lies below no root, with the number of things there of each kind.

    A place is the location of an experiment, and where a thing is not below that, its own.
    `folders` are those of things below it, each called by the id of what it belongs to.
    """
    found: dict[str, _Place] = {}
    for thing in things:
        experiment = experiments.get(thing.experiment)
        if experiment is None or experiment.name.startswith(OWN):
            continue
        if any(_below(thing.location, root) for root in roots):
            continue
        shared = _below(thing.location, experiment.location)
        location = (experiment.location if shared else thing.location).rstrip("/") or "/"
        place = found.setdefault(location, _Place(location, thing.experiment, experiment.name))
        place.counts[thing.kind] += 1
        folder = thing.location.removeprefix(location).strip("/")
        parts = set(folder.split("/"))
        if thing.id in parts and not {"..", "."} & parts and folder_name(place.experiment):
            place.folders.append(folder)
    return [vars(place) for place in found.values()]


def folder_name(experiment: str) -> bool:
    """A folder can be called by the id of an experiment."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", experiment) is not None


def plain(path: str) -> bool:
    """It is a relative path that every file system and archive takes for the same."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not {"..", "/"} & set(parts) and "/".join(parts) == path


def _below(location: str, root: str) -> bool:
    rest = location.removeprefix(root.rstrip("/"))
    # Bare schemes as `mlflow-artifacts:` go on with a path, not with another authority.
    return rest != location and rest.startswith("/") and not rest.startswith("//")
