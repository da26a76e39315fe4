"""From a run to a registered model: a logistic regression on the iris data.

Logs the model with a run, registers it as `iris-classifier` through the run's address
`runs:/RUN/NAME`, and loads it back by the name and version that the registry gave it.
"""

from importlib.metadata import version

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score

EXPERIMENT = "iris"
MODEL = "iris-classifier"


def main() -> None:
    """Train, log, register, load."""
    x, y = load_iris(return_X_y=True)
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(run_name="logistic regression") as run:
        params = {"C": 0.1, "max_iter": 500, "random_state": 42}
        mlflow.log_params(params)
        model = LogisticRegression(**params).fit(x, y)
        found = model.predict(x)
        # On the data it was trained with: this is about the registry, not about the score.
        mlflow.log_metric("training_accuracy", accuracy_score(y, found))
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(x, found),
            # Said here, so that MLflow need not import the model once more to find it out.
            pip_requirements=[f"scikit-learn=={version('scikit-learn')}"],
        )
    print(f"Artifacts: {run.info.artifact_uri}")

    try:
        registered = mlflow.register_model(f"runs:/{run.info.run_id}/model", MODEL)
    except MlflowException as error:
        raise SystemExit(
            f"this store has no model registry ({error.message}); the run and its model are kept. "
            "Update MLflow, or use a scenario with a database: scenario-2 or higher"
        ) from error
    loaded = mlflow.sklearn.load_model(f"models:/{MODEL}/{registered.version}")
    if not (loaded.predict(x) == found).all():
        raise SystemExit("the registered model predicts other values than the one trained")
    print(f"Registered {MODEL} version {registered.version}, loaded it, and got equal predictions")


if __name__ == "__main__":
    main()
