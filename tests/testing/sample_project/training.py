"""What a project does with MLflow; it knows nothing of stackctl."""

import mlflow


def train(depth: int) -> str:
    """Train a model of this depth; returns the id of its run."""
    mlflow.set_experiment("sample")
    with mlflow.start_run() as run:
        mlflow.log_param("depth", depth)
        for step in range(1, depth + 1):
            mlflow.log_metric("accuracy", 1 - 1 / (step + 1), step=step)
        mlflow.log_text(f"depth {depth}: größer\n", "report/summary.txt")
    return str(run.info.run_id)
