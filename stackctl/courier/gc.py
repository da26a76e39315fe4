"""What was deleted in MLflow, and is still there: found, and taken away for good.

MLflow's own `gc` says what can go and deletes rows (3.17.2, mlflow/cli/__init__.py); it has no
dry run, deletes proxied artifacts by way of a server's published address, and takes with an
experiment what is not deleted in it. Here artifacts are deleted where they are, each from its own
place: the folder of an experiment may be that of another stack's, too, in a bucket that they share.
What is unclear stays.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from stackctl.courier.belongings import Belongings, Thing
from stackctl.courier.counting import OWN
from stackctl.courier.database import uri
from stackctl.courier.numbering import origin
from stackctl.courier.verbs import Verb

_PAGE = 1000


@dataclass
class Found:
    """What may go, by id, and why other things that are deleted stay."""

    runs: dict[str, Thing] = field(default_factory=dict)
    models: dict[str, Thing] = field(default_factory=dict)
    experiments: dict[str, Thing] = field(default_factory=dict)
    traces: dict[str, list[Thing]] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)

    def things(self) -> Iterator[Thing]:
        """In the order in which they go."""
        for group in (self.runs, self.models, self.experiments):
            yield from group.values()

    def owners(self, thing: Thing) -> list[Thing]:
        """What has artifacts of its own and goes with it: of an experiment, its traces."""
        return self.traces[thing.id] if thing.kind == "experiment" else [thing]


def list_(job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, Any]:
    """What was deleted before `before` (milliseconds since 1970), with the size of its artifacts.

    `roots` are the beginnings of locations of the stack's own artifacts, in `bucket` where that is
    not empty.
    """
    belongings = Belongings(job["roots"], job["bucket"])
    return _told(_find(_store(), belongings, job["before"]), belongings)


def delete(job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, Any]:
    """Tell the same, and delete it: of each thing the artifacts first, then the row."""
    from mlflow.exceptions import MlflowException

    belongings, store = Belongings(job["roots"], job["bucket"]), _store()
    found = _find(store, belongings, job["before"])
    told, deleted = _told(found, belongings), []
    changed: set[str] = set()
    rows: dict[str, Callable[[str], None]] = {
        "run": store._hard_delete_run,
        "logged model": store._hard_delete_logged_model,
        "experiment": store._hard_delete_experiment,
    }
    for thing in found.things():
        stays = thing.kind == "experiment" and thing.id in changed
        if stays or not _is_deleted(store, thing, found):
            changed.add(thing.experiment)
            continue
        for one in found.owners(thing):
            belongings.delete(one)
        try:
            rows[thing.kind](thing.id)
        except MlflowException as error:
            # The file store finds no logged model in a deleted experiment, and takes it with that.
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            if thing.experiment not in found.experiments:
                continue
        deleted.append(thing.id)
    return {**told, "deleted": deleted}


def _told(found: Found, belongings: Belongings) -> dict[str, Any]:
    things = [
        {"kind": t.kind, "id": t.id, "name": t.name, "experiment": t.experiment,
         "bytes": sum(map(belongings.size, found.owners(t))),
         "traces": len(found.traces.get(t.id, ()))}
        for t in found.things()
    ]  # fmt: skip
    return {"things": things, "kept": [{"what": k, "why": v} for k, v in found.kept.items()]}


def _is_deleted(store: Any, thing: Thing, found: Found) -> bool:
    """Nobody brought it back meanwhile: MLflow deletes a row whatever its state."""
    if thing.kind == "run":
        return bool(store.get_run(thing.id).info.lifecycle_stage == "deleted")
    if thing.experiment in found.experiments:
        return bool(store.get_experiment(thing.experiment).lifecycle_stage == "deleted")
    # MLflow brings no logged model back.
    return True


def _store() -> Any:
    from mlflow.tracking._tracking_service.utils import _get_store

    return _get_store(uri())  # type: ignore[no-untyped-call]


def _find(store: Any, belongings: Belongings, before: int) -> Found:
    from mlflow.entities import ViewType

    found, age = Found(), int(time.time() * 1000) - before
    held = _held_by_versions()
    experiments = [
        e for e in _pages(store.search_experiments, view_type=ViewType.DELETED_ONLY)
        if (e.last_update_time or 0) < before and not e.name.startswith(OWN)
    ]  # fmt: skip
    runs = {run_id: store.get_run(run_id) for run_id in store._get_deleted_runs(older_than=age)}
    models = {i: _model(store, i) for i in store._get_deleted_logged_models(older_than=age)}
    for run in runs.values():
        name = run.info.run_name or ""
        thing = Thing("run", run.info.run_id, name, run.info.experiment_id, run.info.artifact_uri)
        _sort(found, found.runs, thing, held, belongings)
    for model in models.values():
        _sort(found, found.models, model, held, belongings)
    for experiment in experiments:
        thing = Thing("experiment", experiment.experiment_id, experiment.name,
                      experiment.experiment_id, experiment.artifact_location,
                      origin(experiment.tags))  # fmt: skip
        inside = _pages(store.search_runs, experiment_ids=[thing.id], filter_string="",
                        run_view_type=ViewType.ALL)  # fmt: skip
        staying = [run.info.run_id for run in inside if run.info.run_id not in found.runs]
        own = [_as_thing(m) for m in _pages(store.search_logged_models, experiment_ids=[thing.id])]
        # MLflow would take them with the experiment, whatever their own state.
        waiting = [m for m in own if reason(m, held, belongings)]
        waiting += [t for t in models.values()
                    if t.experiment == thing.id and t.id not in found.models]  # fmt: skip
        if staying:
            found.kept[_named(thing)] = f"run {staying[0]} in it is not to go"
        elif waiting:
            found.kept[_named(thing)] = f"logged model {waiting[0].id} in it is not to go"
        elif why := reason(thing, {}, belongings):
            found.kept[_named(thing)] = why
        else:
            found.models.update({model.id: model for model in own})
            found.experiments[thing.id] = thing
            found.traces[thing.id] = _traces(store, thing.id)
    return found


def _sort(
    found: Found,
    group: dict[str, Thing],
    thing: Thing,
    held: dict[str, str],
    belongings: Belongings,
) -> None:
    if why := reason(thing, held, belongings):
        found.kept[_named(thing)] = why
    else:
        group[thing.id] = thing


def reason(thing: Thing, held: dict[str, str], belongings: Belongings) -> str:
    """Why a thing stays though it was deleted; "" where nothing speaks for that."""
    if version := held.get(thing.id):
        return f"{version} is of it"
    if thing.location and belongings.of(thing) is None:
        return (
            f"its artifacts are at {thing.location}, which is not a place of its own in the stack"
        )
    return ""


def _named(thing: Thing) -> str:
    return f"{thing.kind} {thing.id} ({thing.name})"


def _held_by_versions() -> dict[str, str]:
    """Each part of the places and ids that registered versions name, and which version does."""
    from mlflow.tracking._model_registry.utils import _get_store

    held = {}
    registry = _get_store(uri())  # type: ignore[no-untyped-call]
    for version in _pages(registry.search_model_versions, filter_string=""):
        what = f"version {version.version} of registered model {version.name}"
        place = registry.get_model_version_download_uri(version.name, version.version)
        marks = (version.run_id, version.source, getattr(version, "model_id", None), place)
        held.update({part: what for mark in marks if mark for part in str(mark).split("/")})
    return held


def _model(store: Any, model_id: str) -> Thing:
    return _as_thing(store.get_logged_model(model_id, allow_deleted=True))


def _as_thing(model: Any) -> Thing:
    location = model.artifact_location
    return Thing("logged model", model.model_id, model.name, model.experiment_id, location)


def _traces(store: Any, experiment: str) -> list[Thing]:
    found: list[Thing] = []
    token = None
    while True:
        page, token = store.search_traces(locations=[experiment], max_results=500, page_token=token)
        for trace in page:
            location = trace.tags.get("mlflow.artifactLocation", "")
            found.append(Thing("trace", trace.trace_id, "", experiment, location))
        if not token:
            return found


def _pages(search: Any, **arguments: Any) -> list[Any]:
    found: list[Any] = []
    token = None
    while True:
        page = search(**arguments, max_results=_PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


VERBS: dict[str, Verb] = {"gc-list": list_, "gc-delete": delete}
