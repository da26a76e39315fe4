"""Train on one machine, keep everything on another: autologging, and the model back from there.

A random forest on the diabetes data. `mlflow.autolog()` logs its parameters, its training metrics
and the model without another line. The model is then downloaded and loaded as somebody else would
who knows nothing but the run's id. With scenario-5 and 6 it comes through the artifact proxy: this
program holds no key of the bucket.
"""

import tempfile

import mlflow
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import train_test_split

EXPERIMENT = "diabetes"


def main() -> None:
    """Train, log, download the model, and compare its predictions with the original's."""
    mlflow.set_experiment(EXPERIMENT)
    mlflow.sklearn.autolog(log_input_examples=False, log_datasets=False)

    data = load_diabetes()
    x_train, x_test, y_train, y_test = train_test_split(data.data, data.target, random_state=0)
    with mlflow.start_run(run_name="random forest") as run:
        forest = RandomForestRegressor(n_estimators=100, max_depth=6, max_features=3)
        forest.fit(x_train, y_train)
        mlflow.log_metric("test_r2", forest.score(x_test, y_test))

    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        path = mlflow.artifacts.download_artifacts(
            f"runs:/{run.info.run_id}/model", dst_path=folder
        )
        loaded = mlflow.sklearn.load_model(path)
    same = (loaded.predict(x_test) == forest.predict(x_test)).all()
    if not same:
        raise SystemExit("the model that came back predicts other values than the one trained")

    print(f"Model downloaded and loaded: {type(loaded).__name__}, {len(x_test)} equal predictions")
    print(f"Artifacts: {run.info.artifact_uri}")
    print(f"Run: {address(run)}")


def address(run: mlflow.entities.Run) -> str:
    """Where a browser shows the run; its id where the client has no server."""
    server = mlflow.get_tracking_uri()
    if not server.startswith("http"):
        return f"{run.info.run_id} in {server}"
    return f"{server}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"


if __name__ == "__main__":
    main()
