"""A journey through everything that a client may ask of a stack, with the real mlflow client.

`python journey.py` runs in the client's interpreter and environment, where stackctl is not
installed: it needs nothing but mlflow and the standard library. On standard output it prints a
JSON line at the begin and at the end of each step; everything else goes to standard error.
"""

import contextlib
import hashlib
import inspect
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

MEGABYTE = 1 << 20
SIZES = {"empty.bin": 0, "small.bin": MEGABYTE, "large.bin": 64 * MEGABYTE}
NESTED = "a/b/c/d/e"
UNICODE = "größe 模型 ñ.txt"


class Differs(Exception):
    """What was read back is not what was written."""


class Journey:
    """One journey; the steps share an experiment with a name of its own, deleted at the end.

    Args:
        folder: An empty folder, for files on their way.
    """

    def __init__(self, folder: Path) -> None:
        import mlflow

        self.mlflow: Any = mlflow
        self.client: MlflowClient = mlflow.MlflowClient()
        self.folder = folder
        token = uuid.uuid4().hex[:12]
        self.name = f"stackctl smoke größe {token}"
        self.model_name = f"stackctl-smoke-{token}"
        self.experiment_id = self.run_id = self.model_uri = ""
        self.model_id: str | None = None
        self.registered = False

    def steps(self) -> dict[str, tuple[Callable[[], str], tuple[str, ...]]]:
        """Every step by name, with the steps without which it cannot be tried."""
        run = ("experiment", "run")
        return {
            "experiment": (self._experiment, ()),
            "run": (self._run, ("experiment",)),
            "batch": (self._batch, run),
            "unicode names": (self._unicode_names, run),
            **{
                f"artifact of {_size(SIZES[name])}": (partial(self._artifact, name), run)
                for name in SIZES
            },
            "nested artifacts": (self._nested_artifacts, run),
            "search": (self._search, run),
            "model": (self._model, run),
            "registry": (self._registry, (*run, "model")),
            "delete and restore": (self._delete_and_restore, run),
            "clean up": (self._clean_up, ("experiment",)),
        }

    def _experiment(self) -> str:
        self.experiment_id = self.client.create_experiment(self.name, tags={"made by": "stackctl"})
        found = self.client.get_experiment_by_name(self.name)
        _same("experiment", found and found.experiment_id, self.experiment_id)
        _same("tag", found and found.tags.get("made by"), "stackctl")
        return f"id {self.experiment_id}"

    def _run(self) -> str:
        run = self.client.create_run(self.experiment_id, run_name="smoke")
        self.run_id = run.info.run_id
        self.client.log_param(self.run_id, "depth", 7)
        self.client.set_tag(self.run_id, "team", "a b/c")
        for step in range(5):
            self.client.log_metric(self.run_id, "loss", 1 / (step + 1), step=step)
        data = self.client.get_run(self.run_id).data
        _same("parameter", data.params.get("depth"), "7")
        _same("tag", data.tags.get("team"), "a b/c")
        history = self.client.get_metric_history(self.run_id, "loss")
        _same("metric", sorted((m.step, m.value) for m in history),
              [(step, 1 / (step + 1)) for step in range(5)])  # fmt: skip
        return "5 values of a metric, a parameter, a tag"

    def _batch(self) -> str:
        from mlflow.entities import Metric, Param, RunTag

        # As many as one call may carry.
        metrics = [Metric("batch", float(step), 1000 + step, step) for step in range(800)]
        params = [Param(f"p{n}", str(n)) for n in range(100)]
        tags = [RunTag(f"t{n}", str(n)) for n in range(100)]
        self.client.log_batch(self.run_id, metrics=metrics, params=params, tags=tags)
        history = self.client.get_metric_history(self.run_id, "batch")
        _same("metric", sorted((m.step, m.value) for m in history),
              [(step, float(step)) for step in range(800)])  # fmt: skip
        data = self.client.get_run(self.run_id).data
        _same("parameters", {p.key: data.params.get(p.key) for p in params},
              {p.key: p.value for p in params})  # fmt: skip
        _same("tags", {t.key: data.tags.get(t.key) for t in tags}, {t.key: t.value for t in tags})
        return "800 values, 100 parameters, 100 tags in one call"

    def _unicode_names(self) -> str:
        self.client.log_param(self.run_id, "Größe", "ΔT = 5 °C ≤ π")
        self.client.set_tag(self.run_id, "équipe", "研究")
        data = self.client.get_run(self.run_id).data
        _same("parameter", data.params.get("Größe"), "ΔT = 5 °C ≤ π")
        _same("tag", data.tags.get("équipe"), "研究")
        self.client.log_text(self.run_id, "héllo ✓\n", f"ünï/{UNICODE}")
        listed = [item.path for item in self.client.list_artifacts(self.run_id, "ünï")]
        _same("list of artifacts", listed, [f"ünï/{UNICODE}"])
        text = self._download(f"ünï/{UNICODE}").read_text(encoding="utf-8")
        _same("artifact", text, "héllo ✓\n")
        return UNICODE

    def _artifact(self, name: str) -> str:
        size = SIZES[name]
        source = self.folder / name
        block = os.urandom(MEGABYTE)
        with source.open("wb") as file:
            for _ in range(size // MEGABYTE):
                file.write(block)
        start = time.monotonic()
        self.client.log_artifact(self.run_id, str(source), "sizes")
        written = time.monotonic() - start
        before = _digest(source)
        source.unlink()
        start = time.monotonic()
        copy = self._download(f"sizes/{name}")
        read = time.monotonic() - start
        _same(f"artifact of {_size(size)}", _digest(copy), before)
        copy.unlink()
        if size < MEGABYTE:
            return ""
        return f"up {size / 1e6 / written:.0f} MB/s, down {size / 1e6 / read:.0f} MB/s"

    def _nested_artifacts(self) -> str:
        tree = self.folder / "tree"
        paths = ["top.txt", f"{NESTED}/deep.txt", f"{NESTED}/deep too.txt"]
        for path in paths:
            file = tree / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(path, encoding="utf-8")
        self.client.log_artifacts(self.run_id, str(tree), "tree")
        _same("list of artifacts", sorted(self._walk("tree")), sorted(f"tree/{p}" for p in paths))
        copy = self._download("tree")
        got = {path: (copy / path).read_text(encoding="utf-8") for path in paths}
        _same("artifacts", got, {path: path for path in paths})
        return f"{len(paths)} files, {NESTED.count('/') + 2} folders deep"

    def _search(self) -> str:
        other = self.client.create_run(self.experiment_id, run_name="other").info.run_id
        self.client.log_metric(other, "loss", 9.0)
        where = [self.experiment_id]
        for what, words in {
            "metrics.loss < 1": [self.run_id],
            "tags.team = 'a b/c'": [self.run_id],
            "params.depth = '7' and metrics.loss < 1": [self.run_id],
            "metrics.loss > 1": [other],
            "attributes.run_name = 'nobody'": [],
        }.items():
            found = [run.info.run_id for run in self.client.search_runs(where, what)]
            _same(f"search {what!r}", found, words)
        ordered = self.client.search_runs(where, order_by=["metrics.loss DESC"])
        _same("order", [run.info.run_id for run in ordered], [other, self.run_id])
        named = self.client.search_experiments(filter_string=f"name = '{self.name}'")
        _same("experiments", [e.experiment_id for e in named], [self.experiment_id])
        return "runs by metric, tag, parameter and name; experiments by name"

    def _model(self) -> str:
        from mlflow.pyfunc.model import PythonModel

        class Doubled(PythonModel):
            def predict(  # type: ignore[override]
                self, context: Any, model_input: list[float]
            ) -> list[float]:
                return [2 * value for value in model_input]

        # MLflow 2 calls it artifact_path.
        log_model = self.mlflow.pyfunc.log_model
        name = "name" if "name" in inspect.signature(log_model).parameters else "artifact_path"
        with self.mlflow.start_run(run_id=self.run_id):
            info = log_model(**{name: "model"}, python_model=Doubled(), pip_requirements=[])
        self.model_uri, self.model_id = info.model_uri, getattr(info, "model_id", None)
        self._predicts(self.model_uri)
        # The address that most programs use, though the model's files are not among the run's.
        self._predicts(f"runs:/{self.run_id}/model")
        return self.model_uri

    def _registry(self) -> str:
        self.client.create_registered_model(self.model_name)
        self.registered = True
        for _ in range(2):
            self.mlflow.register_model(self.model_uri, self.model_name)
        self.client.set_registered_model_alias(self.model_name, "champion", "2")
        found = self.client.get_model_version_by_alias(self.model_name, "champion")
        _same("alias", str(found.version), "2")
        self._predicts(f"models:/{self.model_name}@champion")
        versions = self.client.search_model_versions(f"name = '{self.model_name}'")
        _same("versions", sorted(int(v.version) for v in versions), [1, 2])
        return "2 versions, loaded by alias"

    def _delete_and_restore(self) -> str:
        where = [self.experiment_id]
        self.client.delete_run(self.run_id)
        left = [run.info.run_id for run in self.client.search_runs(where)]
        _same("the deleted run among the others", self.run_id in left, False)
        self.client.restore_run(self.run_id)
        self.client.delete_experiment(self.experiment_id)
        stage = self.client.get_experiment(self.experiment_id).lifecycle_stage
        _same("experiment", stage, "deleted")
        self.client.restore_experiment(self.experiment_id)
        stage = self.client.get_experiment(self.experiment_id).lifecycle_stage
        _same("experiment", stage, "active")
        _same("parameter", self.client.get_run(self.run_id).data.params.get("depth"), "7")
        return "a run and an experiment"

    def _clean_up(self) -> str:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        repository: Any = get_artifact_repository  # its delete_artifacts has no types
        if self.registered:
            self.client.delete_registered_model(self.model_name)
        if self.model_id is not None:
            location = self.mlflow.get_logged_model(self.model_id).artifact_location
            repository(location).delete_artifacts()
            self.client.delete_logged_model(self.model_id)
        if self.run_id:
            uri = self.client.get_run(self.run_id).info.artifact_uri
            # Each by itself: without its folder for artifacts, the file store forgets a run.
            for item in self.client.list_artifacts(self.run_id):
                repository(uri).delete_artifacts(item.path)
            _same("artifacts after they were deleted", self._walk(""), [])
        self.client.delete_experiment(self.experiment_id)
        return "everything but a deleted experiment and its runs, which MLflow keeps"

    def _predicts(self, uri: str) -> None:
        model = self.mlflow.pyfunc.load_model(uri)
        _same("prediction", [float(value) for value in model.predict([1.0, 2.5])], [2.0, 5.0])

    def _download(self, path: str) -> Path:
        into = Path(tempfile.mkdtemp(dir=self.folder))
        return Path(self.client.download_artifacts(self.run_id, path, str(into)))

    def _walk(self, path: str) -> list[str]:
        found = []
        for item in self.client.list_artifacts(self.run_id, path or None):
            found += self._walk(item.path) if item.is_dir else [item.path]
        return found


def _same(what: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise Differs(f"{what}: {_short(found)} was read back instead of {_short(wanted)}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:96]}…"


def _size(count: int) -> str:
    return f"{count // MEGABYTE} MB" if count else "0 bytes"


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(MEGABYTE):
            digest.update(block)
    return digest.hexdigest()


def travel(journey: Journey, tell: Callable[[dict[str, Any]], None]) -> bool:
    """Take every step that can be taken, tell of each; returns whether all went well."""
    outcomes: dict[str, str] = {}
    steps = journey.steps()
    for name, (step, needs) in steps.items():
        failed = [need for need in needs if outcomes[need] != "passed"]
        tell({"step": name, "of": list(steps)})
        start = time.monotonic()
        if failed:
            outcomes[name], detail = "skipped", f"needs {failed[0]}"
        else:
            try:
                outcomes[name], detail = "passed", step()
            except Exception as error:
                outcomes[name], detail = "failed", f"{type(error).__name__}: {error}"
        seconds = time.monotonic() - start
        tell({"step": name, "outcome": outcomes[name], "seconds": seconds, "detail": detail})
    return set(outcomes.values()) == {"passed"}


def main() -> int:
    """Travel; the exit code is 1 where a step failed."""
    # What libraries print must not come between the lines.
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def tell(event: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):
            print(json.dumps(event), file=lines, flush=True)

    with tempfile.TemporaryDirectory(prefix="stackctl-smoke-") as folder:
        return 0 if travel(Journey(Path(folder)), tell) else 1


if __name__ == "__main__":
    sys.exit(main())
