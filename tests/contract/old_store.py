"""A program for the Python of any MLflow from 2.22 on: `old_store.py write`, `old_store.py read`.

`write` fills the store that the environment names with whatever a client of 2.22 can make; `read`
prints what it finds there as JSON, equal for equal content, whichever client reads it.
"""

import json
import math
import os
import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.data.numpy_dataset import from_numpy
from mlflow.entities import Metric, Param, ViewType
from mlflow.pyfunc.model import PythonModel

HOSTILE = ["tab\tnew\nline", "ü🦊", "quote's\"`", "x" * 4000]


def write() -> None:
    mlflow.set_experiment("old")
    with mlflow.start_run(run_name="größe") as run:
        client, run_id = MlflowClient(), run.info.run_id
        client.log_batch(
            run_id,
            [Metric("loss", 1 / (n + 1), 1_700_000_000_000 + n, n) for n in range(200)]
            + [Metric("odd", value, 1, n) for n, value in enumerate([math.nan, math.inf])],
            [Param(f"p{n}", value) for n, value in enumerate(HOSTILE)],
        )
        mlflow.set_tag("team", HOSTILE[1])
        mlflow.log_text("héllo\n", "notes/text.txt")
        mlflow.log_input(from_numpy(np.arange(3.0)), context="training")
        mlflow.pyfunc.log_model(
            artifact_path="model", python_model=Doubled(), registered_model_name="reg",
            pip_requirements=[],
        )  # fmt: skip
    client.set_registered_model_alias("reg", "champion", "1")
    client.set_model_version_tag("reg", "1", "k", "v")
    with mlflow.start_run(run_name="deleted") as run:
        mlflow.log_param("gone", "yes")
    client.delete_run(run.info.run_id)
    span = client.start_trace("root", inputs={"q": "ü"})
    client.end_trace(span.request_id, outputs={"a": HOSTILE[1]})


class Doubled(PythonModel):
    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return model_input


def read() -> None:
    client = MlflowClient()
    found: dict[str, Any] = {}
    for experiment in client.search_experiments(view_type=ViewType.ALL):
        if experiment.name.startswith("stackctl readiness"):
            continue
        for run in client.search_runs([experiment.experiment_id], run_view_type=ViewType.ALL):
            run_id = run.info.run_id
            info = {key: value for key, value in dict(run.info).items() if key != "run_uuid"}
            histories = {
                key: sorted((m.step, m.timestamp, repr(m.value))
                            for m in client.get_metric_history(run_id, key))
                for key in run.data.metrics
            }  # fmt: skip
            found[f"run {run_id}"] = [
                experiment.name, info, histories, run.data.params, run.data.tags,
                [[i.dataset.name, i.dataset.digest, i.dataset.source] for i in
                 (run.inputs.dataset_inputs if run.inputs else ())],
                sorted(item.path for item in client.list_artifacts(run_id)),
            ]  # fmt: skip
            if run.info.lifecycle_stage == "active":
                found[f"text {run_id}"] = mlflow.artifacts.load_text(
                    f"{run.info.artifact_uri}/notes/text.txt"
                )
    for model in client.search_registered_models():
        found[f"model {model.name}"] = [model.creation_timestamp, model.aliases]
    for version in client.search_model_versions():
        found[f"version {version.name} {version.version}"] = [
            version.run_id, version.source, version.tags, version.creation_timestamp,
        ]  # fmt: skip
    folder = Path(mlflow.artifacts.download_artifacts("models:/reg@champion"))
    # Some clients add a file of their own to what they download; not those of 3.18.
    own = "registered_model_meta"
    found["champion"] = sorted(path.name for path in folder.iterdir() if path.name != own)
    json.dump(found, sys.stdout, default=str, sort_keys=True, indent=1)


if __name__ == "__main__":
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    {"write": write, "read": read}[sys.argv[1]]()
