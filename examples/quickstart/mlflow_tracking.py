"""The smallest useful MLflow program: one run with a parameter, a metric and some files.

It runs unchanged on every scenario: where things go is decided by the environment alone, which
`eval "$(stackctl env STACK)"` sets. So the same program writes to a folder, to a database or
through a server.
"""

import tempfile
from pathlib import Path
from random import randint, random

import mlflow

EXPERIMENT = "quickstart"


def main() -> None:
    """Log one run and say where it went."""
    print(f"Current tracking URI: {mlflow.get_tracking_uri()}")
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(run_name="quickstart") as run:
        mlflow.log_param("param1", randint(0, 100))

        # A metric keeps every value it was given; the UI draws them as a chart.
        for step in range(3):
            mlflow.log_metric("foo", random() + step, step=step)

        # Files are written somewhere first, then copied to where the stack keeps artifacts.
        with tempfile.TemporaryDirectory(prefix="quickstart-") as folder:
            outputs = Path(folder, "outputs")
            outputs.mkdir()
            (outputs / "test.txt").write_text("hello world!\n", encoding="utf-8")
            (outputs / "numbers.csv").write_text("x,y\n1,2\n3,4\n", encoding="utf-8")
            print(f"Temporary folder {outputs} created")
            mlflow.log_artifacts(str(outputs), artifact_path="outputs")
            print(f"Files of {outputs} logged as artifacts")
        print(f"Temporary folder {outputs} removed")

    print(f"Artifacts are in {run.info.artifact_uri}/outputs")
    print(f"Run {run.info.run_name} has the id {run.info.run_id}")


if __name__ == "__main__":
    main()
