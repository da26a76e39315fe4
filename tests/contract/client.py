"""What a user's program does, with the real MLflow client: `client.py VERB STATE`.

It runs in a process of its own, whose environment is what `stackctl env` printed. `write` and
`log` keep in STATE what the server acknowledged, `read` compares it with what is there.
"""

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from mlflow import MlflowClient


def write(state: Path) -> None:
    import mlflow

    mlflow.set_experiment("contract")
    with mlflow.start_run(run_name="größe") as run:
        mlflow.log_param("depth", 7)
        for step in range(3):
            mlflow.log_metric("loss", 1 / (step + 1), step=step)
        mlflow.set_tag("team", "a b/c")
        mlflow.log_text("héllo\n", "notes/text.txt")
        mlflow.log_dict({"empty": [], "n": 1}, "data.json")
        big = Path(os.environ["CLIENT_TMP"], "big.bin")
        big.write_bytes(bytes(range(256)) * 4096)
        mlflow.log_artifact(str(big), "blobs")
    state.write_text(json.dumps({"run": run.info.run_id}))


def read(state: Path) -> None:
    import mlflow
    import requests

    run_id = json.loads(state.read_text())["run"]
    client = mlflow.MlflowClient()
    run = client.get_run(run_id)
    assert run.data.params == {"depth": "7"}, run.data.params
    assert run.data.tags["team"] == "a b/c", run.data.tags
    assert run.info.run_name == "größe", run.info
    history = [(m.step, m.value) for m in client.get_metric_history(run_id, "loss")]
    assert sorted(history) == [(0, 1.0), (1, 0.5), (2, 1 / 3)], history
    found = mlflow.search_runs(experiment_names=["contract"], output_format="list")
    assert [r.info.run_id for r in found] == [run_id], found
    names = {item.path for item in client.list_artifacts(run_id)}
    assert names == {"notes", "data.json", "blobs"}, names
    text = mlflow.artifacts.load_text(f"runs:/{run_id}/notes/text.txt")
    assert text == "héllo\n", text
    path = mlflow.artifacts.download_artifacts(
        f"runs:/{run_id}/blobs/big.bin", dst_path=os.environ["CLIENT_TMP"]
    )
    assert Path(path).read_bytes() == bytes(range(256)) * 4096
    place = urlsplit(run.info.artifact_uri)
    if place.scheme == "mlflow-artifacts":
        server = f"http://{place.netloc}" if place.netloc else mlflow.get_tracking_uri()
        nothing = f"{server}/api/2.0/mlflow-artifacts/artifacts{place.path}/nothing.txt"
        user = os.environ.get("MLFLOW_TRACKING_USERNAME")
        login = (user, os.environ["MLFLOW_TRACKING_PASSWORD"]) if user else None
        # Of anything else a client thinks that it will pass, and tries again for minutes.
        assert requests.get(nothing, auth=login, timeout=20).status_code == 404
    if quickstart := json.loads(state.read_text()).get("quickstart"):
        read_quickstart(client, quickstart)


def read_quickstart(client: "MlflowClient", run_id: str) -> None:
    """The run of `stackctl example quickstart`; what `stackctl smoke` made is gone."""
    import mlflow

    run = client.get_run(run_id)
    assert 0 <= int(run.data.params["param1"]) <= 100, run.data
    history = client.get_metric_history(run_id, "foo")
    assert sorted(metric.step for metric in history) == [0, 1, 2], history
    text = mlflow.artifacts.load_text(f"{run.info.artifact_uri}/outputs/test.txt")
    assert text == "hello world!\n", text
    names = {experiment.name for experiment in client.search_experiments()}
    assert names == {"Default", "contract", "quickstart"}, names
    assert client.search_registered_models() == []


def log(state: Path) -> None:
    """Log until STATE.stop is there; a metric that was acknowledged is in STATE."""
    import mlflow

    mlflow.set_experiment("faults")
    stop = state.with_suffix(".stop")
    acknowledged: list[int] = []
    client = mlflow.MlflowClient()
    with mlflow.start_run() as run:
        step = 0
        while not stop.exists():
            try:
                client.log_metric(run.info.run_id, "m", float(step), step=step, synchronous=True)
                acknowledged.append(step)
                if step % 5 == 0:
                    mlflow.log_text(str(step), f"{step}.txt")
            except mlflow.exceptions.MlflowException:
                time.sleep(0.2)
            step += 1
            record = {"run": run.info.run_id, "acknowledged": acknowledged}
            fresh = state.with_suffix(".new")
            fresh.write_text(json.dumps(record))
            fresh.replace(state)
    history = client.get_metric_history(run.info.run_id, "m")
    missing = set(acknowledged) - {metric.step for metric in history}
    assert not missing, f"acknowledged and lost: {sorted(missing)}"


def crowd(state: Path) -> None:
    """Eight that log at once, each with a state of its own: `0-STATE` and so on."""
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(log, state.with_name(f"{n}-{state.name}")) for n in range(8)]:
            done.result()


def whole(state: Path) -> None:
    """Of each run that STATE lists: what was acknowledged is there, and every artifact it names."""
    import mlflow

    client = mlflow.MlflowClient()
    for run in json.loads(state.read_text()):
        history = client.get_metric_history(run["run"], "m")
        missing = set(run["acknowledged"]) - {metric.step for metric in history}
        assert not missing, f"acknowledged before the backup and not in it: {sorted(missing)}"
        names = {item.path for item in client.list_artifacts(run["run"])}
        # Each is logged after its metric, so the last may have come later.
        steps = [step for step in run["acknowledged"][:-1] if step % 5 == 0]
        assert {f"{step}.txt" for step in steps} <= names, names
        for artifact in names:
            text = mlflow.artifacts.load_text(f"runs:/{run['run']}/{artifact}")
            assert text == artifact.removesuffix(".txt"), artifact


if __name__ == "__main__":
    {"write": write, "read": read, "log": log, "crowd": crowd, "whole": whole}[sys.argv[1]](
        Path(sys.argv[2])
    )
