"""What the examples must have left on a stack: `lessons.py EXAMPLE`, as one of its clients."""

import sys
from collections.abc import Callable

import mlflow
import numpy
from mlflow.entities import Run


def runs(experiment: str) -> list[Run]:
    found: list[Run] = mlflow.search_runs(experiment_names=[experiment], output_format="list")
    return found


def quickstart() -> None:
    (run,) = runs("quickstart")
    assert run.info.run_name == "quickstart", run.info
    assert 0 <= int(run.data.params["param1"]) <= 100, run.data
    client = mlflow.MlflowClient()
    history = client.get_metric_history(run.info.run_id, "foo")
    assert sorted(m.step for m in history) == [0, 1, 2], history
    listed = {item.path for item in client.list_artifacts(run.info.run_id, "outputs")}
    assert listed == {"outputs/test.txt", "outputs/numbers.csv"}, listed
    text = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/outputs/test.txt")
    assert text == "hello world!\n", text


def remote() -> None:
    (forest,) = runs("diabetes")
    assert forest.data.params["max_depth"] == "6", forest.data
    assert {"training_r2_score", "test_r2"} <= set(forest.data.metrics), forest.data
    given = {
        (run.data.params["l1_ratio"], run.data.params["max_iter"]) for run in runs("regression")
    }
    assert given == {("0.0", "500"), ("1.0", "100"), ("0.5", "100")}, given
    assert all(run.data.metrics["rmse"] > 0 for run in runs("regression"))
    (iris,) = runs("iris")
    (version,) = mlflow.search_model_versions(filter_string="name='iris-classifier'")
    assert version.run_id == iris.info.run_id, version
    iris_setosa = numpy.array([[5.1, 3.5, 1.4, 0.2]])
    found = mlflow.pyfunc.load_model("models:/iris-classifier/1").predict(iris_setosa)
    assert list(found) == [0], found


def penguins() -> None:
    client = mlflow.MlflowClient()
    champion = client.get_model_version_by_alias("penguins-classifier", "champion")
    versions = mlflow.search_model_versions(filter_string="name='penguins-classifier'")
    assert {int(v.version) for v in versions} >= {1, 2}, versions
    assert str(champion.version) in {str(v.version) for v in versions}
    notebooks = [
        run for run in mlflow.search_runs(search_all_experiments=True, output_format="list")
        if "1_Run_and_track_experiments.ipynb"
        in {item.path for item in client.list_artifacts(run.info.run_id)}
    ]  # fmt: skip
    assert notebooks, "no run has the notebook among its artifacts"


if __name__ == "__main__":
    CHECKS: dict[str, Callable[[], None]] = {
        "quickstart": quickstart, "remote": remote, "penguins": penguins,
    }  # fmt: skip
    CHECKS[sys.argv[1]]()
