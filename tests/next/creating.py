"""A program that makes runs until STATE.stop is there: `creating.py create STATE`.

STATE has the names of those that were acknowledged, and of those that MLflow refused with which
code.
"""

import json
import sys
from pathlib import Path


def create(state: Path) -> None:
    import mlflow

    client = mlflow.MlflowClient()
    experiment = mlflow.set_experiment("creating").experiment_id
    stop, number = state.with_suffix(".stop"), 0
    made: list[str] = []
    refused: dict[str, str] = {}
    while not stop.exists():
        number += 1
        try:
            client.create_run(experiment, run_name=f"r{number}")
            made.append(f"r{number}")
        except mlflow.exceptions.MlflowException as error:
            refused[f"r{number}"] = str(error.error_code)
        fresh = state.with_suffix(".new")
        fresh.write_text(json.dumps({"made": made, "refused": refused}))
        fresh.replace(state)
    there = [run.info.run_name for run in client.search_runs([experiment], max_results=50_000)]
    state.write_text(json.dumps({"made": made, "refused": refused, "there": there}))


if __name__ == "__main__":
    create(Path(sys.argv[2]))
