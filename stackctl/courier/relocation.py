"""Artifact locations in a store's rows, and where else the artifacts will be."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from stackctl.courier.copytext import Fields, escape, unescape
from stackctl.courier.errors import Refused

Relocations = Sequence[Sequence[str]]

# Read in MLflow 3.17.2. What else may look like a location is a user's own data, as a data set's
# source, or relative to one of these, as the model's path in `mlflow.log-model.history`.
LOCATED = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
    "workspaces": ("default_artifact_root", "trace_archival_location"),
}
LOCATED_TAGS = {
    "trace_tags": frozenset({"mlflow.artifactLocation", "mlflow.trace.archiveLocation"})
}


def relocate(relocate_one: Callable[[str], str], table: str, columns: dict[str, Fields]) -> None:
    """Put relocated fields in the place of a batch's own."""
    if kinds := LOCATED_TAGS.get(table):
        columns["value"] = [
            relocate_one(value) if key in kinds else value
            for key, value in zip(columns["key"], columns["value"], strict=True)
        ]
        return
    for name in LOCATED.get(table, ()):
        if name in columns:
            columns[name] = list(map(relocate_one, columns[name]))


def mover(relocations: Relocations) -> Callable[[str, str, str], str]:
    """What gives the text that will be in a table's column in place of another.

    Raises:
        Refused: As `relocator`.
    """
    relocate_one = relocator(relocations)

    def moved(table: str, column: str, text: str) -> str:
        located = column in LOCATED.get(table, ())
        return unescape(relocate_one(escape(text))) if located else text

    return moved


def relocator(relocations: Relocations) -> Callable[[str], str]:
    """What gives a location's field anew; one that lies below no old prefix stays.

    Args:
        relocations: Pairs of an old and a new prefix. The longest that matches counts; it matches
            where a path ends or goes on below, so `/data/ml` is no prefix of `/data/mlruns`.

    Raises:
        Refused: They are not pairs of texts, or one is empty, or one old prefix has two new ones.
    """
    pairs = _pairs(relocations)

    def relocate_one(field: str) -> str:
        # There may be a pair for each of 10,000 experiments.
        ends = (at for at in range(len(field) - 1, 0, -1) if field[at] in "/?#")
        for end in (len(field), *ends):
            old, rest = field[:end], field[end:]
            # Bare schemes as `mlflow-artifacts:` go on with a path, not with another authority.
            if old in pairs and not (old[-1] == ":" and rest[:2] == "//"):
                return pairs[old] + rest
        return field

    return relocate_one


def _pairs(relocations: Iterable[Sequence[str]]) -> Mapping[str, str]:
    pairs: dict[str, str] = {}
    for pair in relocations:
        if isinstance(pair, str) or len(pair) != 2 or not all(isinstance(x, str) for x in pair):
            raise Refused(f"not a pair of an old and a new prefix: {pair!r}")
        old, new = (escape(prefix.rstrip("/")) for prefix in pair)
        if not old or not new:
            raise Refused(f"a prefix of an artifact location is empty: {list(pair)}")
        if pairs.setdefault(old, new) != new:
            raise Refused(f"two new places for the artifacts below {pair[0]}")
    return pairs
