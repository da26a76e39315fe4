"""Everything that a MLflow store holds, made and told by the real client: `content.py VERB STATE`.

`scatter` logs what is drawn by the seed that STATE holds; `tell` writes into STATE all that clients
can see, without what is another in each stack: places, numbers of experiments, and what stackctl's
own checks left.
"""

import hashlib
import json
import os
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import (
    Dataset,
    DatasetInput,
    Experiment,
    InputTag,
    LoggedModelStatus,
    Metric,
    Param,
    Run,
    RunTag,
    ViewType,
)

WORDS = ["plain", "ünï", "日本語 🦊", "with blank", "a/b", "quo'te\"", "back\\slash", "%s {} $1",
         "line\nbreak", "x" * 200]  # fmt: skip
NUMBERS = [0.0, -1.5, 1e-300, 1.7e308, 5e-324, float("nan"), float("inf"), float("-inf"), 1 / 3]
NAMES = ["text.txt", "ünï.bin", "with blank", "deep/er/file", "empty"]
_MOST = sys.float_info.max
# What differs by the place of a store.
_PLACES = ("mlflow.artifactLocation", "stackctl.origin.experiment_id")


class Scatter:
    """A store's content, drawn by a seed."""

    def __init__(self, seed: int) -> None:
        self.chance, self.client = random.Random(seed), mlflow.MlflowClient()

    def word(self) -> str:
        return f"{self.chance.choice(WORDS)} {self.chance.randrange(10**6)}"

    def tags(self) -> dict[str, str]:
        return {f"tag.{n}": self.word() for n in range(self.chance.randrange(3))}

    def all(self) -> None:
        for number in range(3):
            name = f"{number} {self.chance.choice(WORDS[:8])}"
            experiment = self.client.create_experiment(name, tags=self.tags())
            for _ in range(3):
                self.run(experiment)
            self.trace(experiment)
            if number == 2:
                self.client.delete_experiment(experiment)

    def run(self, experiment: str) -> None:
        client, chance = self.client, self.chance
        run = client.create_run(experiment, tags=self.tags(), run_name=self.word()).info.run_id
        params = [Param(f"p {n}", self.word()) for n in range(chance.randrange(4))]
        params += [Param("longest", "ü" * 6000), Param("empty", "")]
        metrics = [
            Metric(f"m/{n}", chance.choice(NUMBERS), 1_700_000_000_000 + step, step - 2)
            for n in range(3)
            for step in range(chance.randrange(1, 20))
        ]
        client.log_batch(run, metrics, params, [RunTag(k, v) for k, v in self.tags().items()])
        source = Dataset(self.word()[:36], "digest", "local", json.dumps({"uri": "s3://own/x"}))
        client.log_inputs(run, [DatasetInput(source, [InputTag("mlflow.data.context", "train")])])
        for name in chance.sample(NAMES, chance.randrange(len(NAMES))):
            self.artifact(run, name)
        if chance.random() < 0.5:
            self.model(experiment, run)
        client.set_terminated(run, chance.choice(["FINISHED", "FAILED", "KILLED"]))
        if chance.random() < 0.3:
            client.delete_run(run)

    def artifact(self, run: str, name: str) -> None:
        with tempfile.TemporaryDirectory(dir=os.environ["CLIENT_TMP"]) as folder:
            path = Path(folder) / Path(name).name
            path.write_bytes(self.chance.randbytes(0 if name == "empty" else 5000))
            below = Path(name).parent.as_posix()
            self.client.log_artifact(run, str(path), None if below == "." else below)

    def model(self, experiment: str, run: str) -> None:
        client = self.client
        made = client.create_logged_model(
            experiment, name=f"model-{self.chance.randrange(1000)}", source_run_id=run,
            tags=self.tags(), params={"depth": self.word()},
        )  # fmt: skip
        client.log_metric(run, "of the model", 0.5, step=1, model_id=made.model_id)
        with tempfile.TemporaryDirectory(dir=os.environ["CLIENT_TMP"]) as folder:
            (Path(folder) / "MLmodel").write_bytes(self.chance.randbytes(300))
            client.log_model_artifacts(made.model_id, folder)
        client.finalize_logged_model(made.model_id, LoggedModelStatus.READY)
        name = f"registered {self.chance.randrange(10**6)}"
        client.create_registered_model(name, self.tags(), self.word())
        for number in range(self.chance.randrange(1, 3)):
            version = client.create_model_version(
                name,
                f"models:/{made.model_id}",
                run,
                self.tags(),
                description=self.word(),
                model_id=made.model_id,
            )
            client.set_registered_model_alias(name, f"alias{number}", version.version)

    def trace(self, experiment: str) -> None:
        mlflow.set_experiment(experiment_id=experiment)
        with mlflow.start_span(name=self.word()) as span:
            span.set_inputs({"question": self.word()})
            span.set_outputs({"answer": self.word()})
        mlflow.flush_trace_async_logging()


def tell() -> dict[str, Any]:
    """All of it, in an order of its own."""
    client = mlflow.MlflowClient()
    found = client.search_experiments(ViewType.ALL)
    names = {e.experiment_id: e.name for e in found if not e.name.startswith("stackctl readiness")}
    return {
        "experiments": {e.name: _experiment(e) for e in found if e.experiment_id in names},
        "runs": {run: told for number in names for run, told in _runs(client, number, names)},
        "models": {m: told for number in names for m, told in _models(client, number, names)},
        "registered": {m.name: _registered(client, m) for m in client.search_registered_models()},
        "traces": {t: told for number in names for t, told in _traces(client, number)},
    }


def _experiment(experiment: Experiment) -> dict[str, Any]:
    return {"stage": experiment.lifecycle_stage, "tags": _tags(experiment.tags)}


def _tags(tags: dict[str, str]) -> dict[str, str]:
    return {key: value for key, value in sorted(tags.items()) if key not in _PLACES}


def _number(value: float) -> str:
    # A database has no infinity: MLflow writes the largest number instead.
    return repr(max(-_MOST, min(_MOST, value)) if value == value else value)


def _runs(client: mlflow.MlflowClient, number: str, names: dict[str, str]) -> Iterator[Any]:
    for run in client.search_runs([number], run_view_type=ViewType.ALL):
        run_id, info = run.info.run_id, run.info
        points = {
            (key, _number(m.value), m.step, m.timestamp)
            for key in run.data.metrics
            for m in client.get_metric_history(run_id, key)
        }
        yield run_id, {
            "experiment": names[number], "name": info.run_name, "status": info.status,
            "stage": info.lifecycle_stage, "user": info.user_id,
            "times": [info.start_time, info.end_time],
            "params": dict(sorted(run.data.params.items())), "tags": _tags(run.data.tags),
            "latest": {key: _number(value) for key, value in sorted(run.data.metrics.items())},
            "points": sorted(points),
            "inputs": _inputs(run),
            "artifacts": _artifacts(info.artifact_uri),
        }  # fmt: skip


def _inputs(run: Run) -> list[list[Any]]:
    return sorted(
        [i.dataset.name, i.dataset.digest, i.dataset.source, {t.key: t.value for t in i.tags}]
        for i in (run.inputs.dataset_inputs if run.inputs else ())
    )


def _artifacts(uri: str) -> dict[str, str]:
    with tempfile.TemporaryDirectory(dir=os.environ["CLIENT_TMP"]) as folder:
        try:
            mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=folder)
        except (mlflow.MlflowException, OSError):
            # There are none, or MLflow does not find those of a deleted experiment.
            return {}
        paths = [path for path in sorted(Path(folder).rglob("*")) if path.is_file()]
        return {
            path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in paths
        }


def _models(client: mlflow.MlflowClient, number: str, names: dict[str, str]) -> Iterator[Any]:
    for model in client.search_logged_models([number]):
        yield model.model_id, {
            "experiment": names[number], "name": model.name, "status": str(model.status),
            "run": model.source_run_id, "tags": _tags(model.tags), "params": model.params,
            "metrics": sorted([m.key, _number(m.value), m.step] for m in model.metrics or ()),
            "artifacts": _artifacts(model.artifact_location),
        }  # fmt: skip


def _registered(client: mlflow.MlflowClient, model: Any) -> dict[str, Any]:
    quoted = model.name.replace("'", "''")
    aliases = {name: str(version) for name, version in model.aliases.items()}
    return {
        "about": model.description, "tags": _tags(model.tags), "aliases": aliases,
        "versions": sorted(
            [str(v.version), v.run_id, v.source, v.description, v.status, _tags(v.tags)]
            for v in client.search_model_versions(f"name='{quoted}'")
        ),
    }  # fmt: skip


def _traces(client: mlflow.MlflowClient, number: str) -> Iterator[Any]:
    for trace in client.search_traces(locations=[number]):
        yield trace.info.trace_id, {
            "state": str(trace.info.state), "tags": _tags(trace.info.tags),
            "spans": [[span.name, span.inputs, span.outputs] for span in trace.data.spans],
        }  # fmt: skip


if __name__ == "__main__":
    kept = Path(sys.argv[2])
    if sys.argv[1] == "scatter":
        Scatter(int(kept.read_text())).all()
    else:
        kept.write_text(json.dumps(tell(), indent=1, sort_keys=True))
