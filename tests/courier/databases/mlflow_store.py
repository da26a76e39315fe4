"""Run as a program: an order in JSON on standard input, answers in JSON on standard output.

`schema` names databases that become empty stores; `copies` is pairs of files, one of which becomes
a copy of the other; `content` is a store that a client then fills;
`login` is one that gets the tables of the login; `read` names stores of which is told all that a
client reads.
"""

import json
import math
import shutil
import sys
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    Metric,
    Param,
    RunTag,
    ViewType,
)
from mlflow.server.auth.db.utils import migrate
from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

HOSTILE = ["tab\tnew\nline\\N", "ü🦊", "quote's\"`", "", "x" * 6000]


def write(uri: str) -> None:
    """Fill a store with whatever the client can make."""
    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    experiment = client.create_experiment("exp ü", artifact_location="/data/mlruns/1")
    client.set_experiment_tag(experiment, "k", HOSTILE[0])
    run = client.create_run(experiment, run_name="größe").info.run_id
    client.log_batch(
        run,
        [Metric("loss", 1 / (n + 1), n, n) for n in range(900)]
        + [Metric("odd", value, 1, n) for n, value in enumerate([math.nan, math.inf, -math.inf])]
        + [Metric("late", 1e-300, 2**52, 2**40)],
        [Param(f"p{n}", value) for n, value in enumerate(HOSTILE)],
        [RunTag(f"t{n}", value) for n, value in enumerate(HOSTILE)],
    )
    data = Dataset("data", "digest", "local", "{}", '{"a": "ü"}', None)
    client.log_inputs(run, [DatasetInput(data, [InputTag("mlflow.data.context", "träin")])])
    model = client.create_logged_model(experiment, "model", run, params={"depth": "7 ü"})
    client.log_metric(run, "acc", 0.1 + 0.2, model_id=model.model_id)
    client.set_logged_model_tags(model.model_id, {"k": "ü"})
    client.finalize_logged_model(model.model_id, "READY")
    client.create_registered_model("name ü", {"k": "v"}, "text\n")
    version = client.create_model_version(
        "name ü", f"models:/{model.model_id}", run, model_id=model.model_id
    ).version
    client.set_registered_model_alias("name ü", "champion", version)
    client.set_model_version_tag("name ü", version, "k", "v")
    span = client.start_trace("root", inputs={"q": "ü"}, experiment_id=experiment)
    client.end_trace(span.trace_id, outputs={"a": HOSTILE[0]})
    mlflow.flush_trace_async_logging()
    client.set_terminated(run)
    client.delete_run(client.create_run(experiment, tags={"deleted": "yes"}).info.run_id)
    client.delete_experiment(client.create_experiment("gone"))


def read(uri: str) -> dict[str, Any]:
    """All that a client reads of a store."""
    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    experiments = sorted(
        client.search_experiments(view_type=ViewType.ALL), key=lambda e: int(e.experiment_id)
    )
    ids = [experiment.experiment_id for experiment in experiments]
    active = [e.experiment_id for e in experiments if e.lifecycle_stage == "active"]
    runs = sorted(client.search_runs(ids, run_view_type=ViewType.ALL), key=lambda r: r.info.run_id)
    models = client.search_registered_models()
    return {
        "experiments": [dict(e) | {"tags": sorted(e.tags.items())} for e in experiments],
        "runs": [run.to_dictionary() for run in runs],
        "histories": [
            sorted(
                (m.key, repr(m.value), m.timestamp, m.step)
                for key in sorted(run.data.metrics)
                for m in client.get_metric_history(run.info.run_id, key)
            )
            for run in runs
        ],
        "logged": [
            model.to_dictionary() for model in client.search_logged_models(experiment_ids=active)
        ],
        "registered": [dict(model) | {"latest_versions": None} for model in models],
        "versions": [
            dict(v) for m in models for v in client.search_model_versions(f"name='{m.name}'")
        ],
        "traces": [trace.to_dict() for trace in client.search_traces(locations=active)],
    }


def main() -> None:
    order = json.load(sys.stdin)
    out = sys.stdout
    sys.stdout = sys.stderr
    for uri in order.get("schema", ()):
        engine = create_sqlalchemy_engine(uri)  # type: ignore[no-untyped-call]
        _initialize_tables(engine)  # type: ignore[no-untyped-call]
        engine.dispose()
    for path, copy in order.get("copies", ()):
        shutil.copy(path, copy)
    if "login" in order:
        engine = create_sqlalchemy_engine(order["login"])  # type: ignore[no-untyped-call]
        migrate(engine, "head")
        engine.dispose()
    if "content" in order:
        write(order["content"])
    json.dump([read(uri) for uri in order.get("read", ())], out, default=str)


if __name__ == "__main__":
    main()
