"""The texts of a file store, as the rows that MLflow's migration makes of them (3.17.2).

What cannot be read is passed over: `stackctl.stores.filecheck` names it.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from stackctl.courier import fitting
from stackctl.courier.misfit import Misfit, Values
from stackctl.courier.relocation import mover
from stackctl.stores import tree

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# Of each file that describes something: the columns that its values become.
_EXPERIMENT = {"name": "name", "artifact_location": "artifact_location"}
_RUN = {"run_uuid": "run_uuid", "run_name": "name", "user_id": "user_id",
        "source_name": "source_name", "source_version": "source_version",
        "entry_point_name": "entry_point_name", "artifact_uri": "artifact_uri"}  # fmt: skip
_DATASET = {"name": "name", "digest": "digest", "source_type": "dataset_source_type",
            "source": "dataset_source", "schema": "dataset_schema",
            "profile": "dataset_profile"}  # fmt: skip
_MODEL = {"name": "name", "artifact_location": "artifact_location", "model_type": "model_type",
          "status_message": "status_message"}  # fmt: skip
_TRACE = {name: name for name in ("client_request_id", "request_preview", "response_preview")}
_ASSESSMENT = {"assessment_name": "name", "rationale": "rationale", "span_id": "span_id"}
_REGISTERED = {"name": "name", "description": "description"}
_VERSION = {name: name for name in ("description", "user_id", "source", "storage_location",
                                    "run_link", "status_message")}  # fmt: skip

# Table, values, and the file that they come from.
Row = tuple[str, Values, Path]


def misfits(
    root: Path,
    database: str,
    relocations: Sequence[tuple[str, str]],
    without: Collection[Path] = (),
) -> Iterator[Misfit]:
    """Those that a database cannot hold.

    Args:
        root: Of the file store.
        database: Its kind.
        relocations: Pairs of an old and a new beginning of artifact locations.
        without: Files and folders that do not count.
    """
    moved = mover(relocations)
    rows = [
        (table, {name: moved(table, name, v) if isinstance(v, str) else v
                 for name, v in values.items()}, tree.shown(path))
        for table, values, path in _rows(root)
        if not tree.below(path, without)
    ]  # fmt: skip
    for table, values, where in rows:
        yield from fitting.misfits(database, table, values, where)
    yield from fitting.clashes(database, rows)


def _rows(root: Path) -> Iterator[Row]:
    for experiment in [*root.glob("*/meta.yaml"), *root.glob(".trash/*/meta.yaml")]:
        yield from _in_experiment(experiment.parent)
    for model in sorted(root.glob("models/*/meta.yaml")):
        yield from _described("registered_models", model, _REGISTERED)
        owner = {"name": model.parent.name}
        yield from _keyed("registered_model_tags", model.parent / "tags", owner)
        yield from _keyed("registered_model_aliases", model.parent / "aliases", owner, "alias", "")
        for version in sorted(model.parent.glob("version-*/meta.yaml")):
            yield from _described("model_versions", version, _VERSION)
            of = {**owner, "version": version.parent.name}
            yield from _keyed("model_version_tags", version.parent / "tags", of)


def _in_experiment(experiment: Path) -> Iterator[Row]:
    yield from _described("experiments", experiment / "meta.yaml", _EXPERIMENT)
    yield from _keyed("experiment_tags", experiment / "tags", {"experiment_id": experiment.name})
    for dataset in sorted(experiment.glob("datasets/*/meta.yaml")):
        yield from _described("datasets", dataset, _DATASET)
    for run in sorted(experiment.glob("*/meta.yaml")):
        owner = {"run_uuid": run.parent.name}
        yield from _described("runs", run, _RUN)
        yield from _keyed("params", run.parent / "params", owner)
        yield from _keyed("tags", run.parent / "tags", owner)
        yield from _keyed("latest_metrics", run.parent / "metrics", owner, value="")
    for model in sorted(experiment.glob("models/*/meta.yaml")):
        owner = {"model_id": model.parent.name}
        yield from _described("logged_models", model, _MODEL)
        folder = model.parent
        yield from _keyed(
            "logged_model_params", folder / "params", owner, "param_key", "param_value"
        )
        yield from _keyed("logged_model_tags", folder / "tags", owner, "tag_key", "tag_value")
        yield from _keyed("logged_model_metrics", folder / "metrics", owner, "metric_name", "")
    for trace in sorted(experiment.glob("traces/*/trace_info.yaml")):
        owner, folder = {"request_id": trace.parent.name}, trace.parent
        yield from _described("trace_info", trace, _TRACE)
        yield from _keyed("trace_tags", folder / "tags", owner)
        yield from _keyed("trace_request_metadata", folder / "request_metadata", owner)
        for assessment in sorted(folder.glob("assessments/*.yaml")):
            yield from _described("assessments", assessment, _ASSESSMENT)


def _described(table: str, path: Path, columns: Mapping[str, str]) -> Iterator[Row]:
    try:
        found: Any = yaml.load(path.read_text(encoding="utf-8"), _LOADER)  # noqa: S506
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return
    if isinstance(found, dict):
        values = {column: found.get(name) for name, column in columns.items()}
        yield table, values, path


def _keyed(
    table: str, folder: Path, owner: Values, key: str = "key", value: str = "value"
) -> Iterator[Row]:
    """Files of which the name is a key, and the content its value, where there is one."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        values = {**owner, key: path.relative_to(folder).as_posix()}
        try:
            content = {value: path.read_text(encoding="utf-8")} if value else {}
        except (OSError, UnicodeDecodeError):
            continue
        yield table, {**values, **content}, path
