"""Registers a model as a user's program does: version 1 of `quickstart-model` is `champion`."""

import mlflow

NAME = "quickstart-model"


def same(words: list[str]) -> list[str]:
    """Predict what was given."""
    return words


def main() -> None:
    mlflow.set_experiment("quickstart")
    with mlflow.start_run(run_name="training"):
        # Without requirements MLflow would look for them by loading the model in a new process.
        model = mlflow.pyfunc.log_model(
            name="same", python_model=same, pip_requirements=[], registered_model_name=NAME
        )
    version = model.registered_model_version
    mlflow.MlflowClient().set_registered_model_alias(NAME, "champion", version)


if __name__ == "__main__":
    main()
