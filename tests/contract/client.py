"""What a user's program does, with the real MLflow client: `client.py VERB STATE`.

It runs in a process of its own, whose environment is what `stackctl env` printed. `write` and
`log` keep in STATE what the server acknowledged, `read` compares it with what is there. `litter`
deletes some of what it made, `tidied` looks whether that and no more is gone for good.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from mlflow import MlflowClient


# What MLflow encrypts for it.
SEALED = {"webhook": "signs-what-is-called", "gateway": "sk-of-a-provider"}
# An experiment is a folder there, and goes with all that is in it; its id is as long as no other's.
_FILE_STORE_DIGITS = 18


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
        tracking = urlsplit(mlflow.get_tracking_uri())
        server = tracking._replace(netloc=place.netloc or tracking.netloc).geturl()
        nothing = f"{server}/api/2.0/mlflow-artifacts/artifacts{place.path}/nothing.txt"
        user = os.environ.get("MLFLOW_TRACKING_USERNAME")
        login = (user, os.environ["MLFLOW_TRACKING_PASSWORD"]) if user else None
        known = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH", True)
        # Of anything else a client thinks that it will pass, and tries again for minutes.
        assert requests.get(nothing, auth=login, timeout=20, verify=known).status_code == 404
        # SeaweedFS would keep it under another name.
        lost = nothing.replace("nothing", "back%5Cslash")
        refused = requests.put(lost, data=b"x", auth=login, timeout=20, verify=known)
        assert (refused.status_code, "choose another name" in refused.text) == (400, True)
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


def litter(state: Path) -> None:
    import mlflow
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    client = mlflow.MlflowClient()

    def run(experiment: str) -> str:
        mlflow.set_experiment(experiment)
        with mlflow.start_run() as made:
            mlflow.log_metric("m", 1.0)
            mlflow.log_text(experiment, "a/b.txt")
        return str(made.info.run_id)

    ids = {"kept": run("litter"), "gone": run("litter"), "registered": run("litter")}
    experiment = client.get_run(ids["kept"]).info.experiment_id
    for name in ("old", "half"):
        ids[f"{name} run"] = run(name)
        with mlflow.start_span(name):
            pass
        ids[name] = client.get_run(ids[f"{name} run"]).info.experiment_id
    mlflow.flush_trace_async_logging()
    # The last was never deleted itself.
    for name, place in {
        "kept model": experiment,
        "gone model": experiment,
        "old model": ids["old"],
    }.items():
        model = client.create_logged_model(place, name=name.replace(" ", "-"))
        files = Path(os.environ["CLIENT_TMP"], "model")
        files.mkdir(exist_ok=True)
        (files / "weights.txt").write_text(name)
        client.log_model_artifacts(model.model_id, str(files))
        client.finalize_logged_model(model.model_id, "READY")
        ids[name] = model.model_id
    client.create_registered_model("litter")
    source = client.get_run(ids["registered"]).info.artifact_uri
    client.create_model_version("litter", f"{source}/a", ids["registered"])
    # What is in its folder and not its own may be another stack's, in a bucket that both use.
    location = client.get_experiment(ids["old"]).artifact_location
    stranger = get_artifact_repository(f"{location}/stranger")
    stranger.log_artifact(str(files / "weights.txt"))  # type: ignore[no-untyped-call]
    places = {name: f"{client.get_run(ids[name]).info.artifact_uri}/a/b.txt"
              for name in ("gone", "old run")}  # fmt: skip
    for name in ("gone model", "old model"):
        model = client.get_logged_model(ids[name])
        places[name] = f"{model.artifact_location}/weights.txt"
    for name in ("gone", "registered"):
        client.delete_run(ids[name])
    client.delete_logged_model(ids["gone model"])
    for name in ("old", "half"):
        client.delete_experiment(ids[name])
    # It is in an experiment that is deleted, and is not.
    client.restore_run(ids["half run"])
    stays = (
        {}
        if len(ids["old"]) == _FILE_STORE_DIGITS
        else {f"{location}/stranger/weights.txt": "old model"}
    )
    known = json.loads(state.read_text())
    state.write_text(json.dumps({**known, "ids": ids, "places": places, "stays": stays}))


def refused(ask: Callable[[str], object], what: str) -> str:
    """The code with which MLflow refuses it; "" where it does not."""
    import mlflow

    try:
        ask(what)
    except mlflow.exceptions.MlflowException as error:
        return str(error.error_code)
    return ""


def tidied(state: Path) -> None:
    import mlflow

    client, known = mlflow.MlflowClient(), json.loads(state.read_text())
    ids = known["ids"]
    for name, find in {
        "gone": client.get_run, "old run": client.get_run, "old": client.get_experiment,
        "gone model": client.get_logged_model,
    }.items():  # fmt: skip
        assert refused(find, ids[name]) == "RESOURCE_DOES_NOT_EXIST", name
    # An object store may go on to list folders that hold nothing.
    for place in known["places"].values():
        assert refused(mlflow.artifacts.load_text, place), place
    # The file store puts a deleted experiment elsewhere, where nobody finds its artifacts.
    client.restore_experiment(ids["half"])
    for name, text in {"kept": "litter", "registered": "litter", "half run": "half"}.items():
        assert client.get_run(ids[name]).data.metrics == {"m": 1.0}, name
        uri = client.get_run(ids[name]).info.artifact_uri
        assert mlflow.artifacts.load_text(f"{uri}/a/b.txt") == text, name
    place = client.get_logged_model(ids["kept model"]).artifact_location
    for uri, text in {**known["stays"], f"{place}/weights.txt": "kept model"}.items():
        assert mlflow.artifacts.load_text(uri) == text, uri


def stray(state: Path) -> None:
    """Log at a place that is none of the stack's own, and name one in a bucket of somebody else."""
    import mlflow

    client = mlflow.MlflowClient()
    place = str(Path(os.environ["CLIENT_TMP"], "else whëre"))
    number = client.create_experiment("stray", artifact_location=place)
    run = client.create_run(number).info.run_id
    client.log_text(run, "astray\n", "notes/text.txt")
    there = client.create_experiment("in a bucket", artifact_location="s3://theirs/x")
    client.create_run(there)
    known = json.loads(state.read_text())
    state.write_text(json.dumps({**known, "stray": run}))


def strayed(state: Path) -> None:
    """It is at a place of the stack's own now."""
    import mlflow

    run = json.loads(state.read_text())["stray"]
    place = mlflow.MlflowClient().get_run(run).info.artifact_uri
    assert "else" not in place, place
    assert mlflow.artifacts.load_text(f"{place}/notes/text.txt") == "astray\n"


def large(state: Path) -> None:
    """Log a file that goes in four parts and a small one, and read both back."""
    import mlflow

    mlflow.set_experiment("large")
    place = Path(os.environ["CLIENT_TMP"], "large")
    place.mkdir(exist_ok=True)
    (place / "large.bin").write_bytes(os.urandom(31 << 20))
    (place / "small.txt").write_text("small\n")
    # A name that an address cuts short, as it does at any server of MLflow.
    odd = Path(os.environ["CLIENT_TMP"], "odd #1.bin")
    odd.write_bytes(os.urandom(17 << 20))
    with mlflow.start_run() as run:
        mlflow.log_artifacts(str(place), "a b/größe")
        mlflow.log_artifact(str(odd), "odd")
    for name in ("large.bin", "small.txt"):
        uri = f"runs:/{run.info.run_id}/a b/größe/{name}"
        there = mlflow.artifacts.download_artifacts(uri, dst_path=f"{place}/back")
        assert Path(there).read_bytes() == (place / name).read_bytes(), name
    (item,) = mlflow.MlflowClient().list_artifacts(run.info.run_id, "odd")
    uri = f"runs:/{run.info.run_id}/{item.path}"
    there = mlflow.artifacts.download_artifacts(uri, dst_path=f"{place}/odd")
    assert Path(there).read_bytes() == odd.read_bytes(), item.path
    path = urlsplit(run.info.artifact_uri).path.lstrip("/")
    known = json.loads(state.read_text()) if state.exists() else {}
    folder = "a%20b/gr%C3%B6%C3%9Fe"
    state.write_text(json.dumps({**known, "large": f"{path}/{folder}/large.bin"}))


def begin_and_go(state: Path) -> None:
    """Send a part of an upload of a run, and never end it; delete the run."""
    import mlflow
    import requests
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    client = mlflow.MlflowClient()
    number = client.create_experiment("begun")
    run = client.create_run(number).info
    place: Any = get_artifact_repository(run.artifact_uri)
    begun = place.create_multipart_upload("x.bin", 2)
    answer = requests.put(begun.credentials[0].url, data=bytes(5 << 20), timeout=60)
    assert answer.status_code == 200, answer.text
    client.delete_run(run.run_id)
    known = json.loads(state.read_text())
    state.write_text(json.dumps({**known, "begun": run.run_id}))


def log_beside(state: Path) -> None:
    """Make a run whose artifacts the server keeps in another bucket."""
    import mlflow

    client = mlflow.MlflowClient()
    number = client.create_experiment("beside", artifact_location="s3://beside/y")
    known = json.loads(state.read_text())
    state.write_text(json.dumps({**known, "beside": client.create_run(number).info.run_id}))


def came_from_beside(state: Path) -> None:
    """They are the stack's own now, and nothing came with them."""
    import mlflow

    run = mlflow.MlflowClient().get_run(json.loads(state.read_text())["beside"])
    assert run.info.artifact_uri.startswith("mlflow-artifacts:/"), run.info.artifact_uri
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/notes/text.txt") == "beside\n"
    names = [item.path for item in mlflow.MlflowClient().list_artifacts(run.info.run_id)]
    assert names == ["notes"], names


def seal(_state: Path) -> None:
    """Have MLflow encrypt something for it: a webhook's secret, a key of a provider of models."""
    import mlflow
    from mlflow.tracking._tracking_service.utils import _get_store

    mlflow.MlflowClient().create_webhook(
        "hook", "https://1.1.1.1/hook", ["model_version.created"], secret=SEALED["webhook"]
    )
    store = _get_store()  # type: ignore[no-untyped-call]
    store.create_gateway_secret("provider", {"api_key": SEALED["gateway"]}, "openai")


def call(_state: Path) -> None:
    """Have the server call `$HOOK`."""
    import mlflow

    client = mlflow.MlflowClient()
    client.create_webhook(
        "here", os.environ["HOOK"], ["registered_model.created"], secret=SEALED["webhook"]
    )
    client.create_registered_model("called")


def hang_up(_state: Path) -> None:
    import mlflow

    client = mlflow.MlflowClient()
    client.delete_registered_model("called")
    (hook,) = [hook for hook in client.list_webhooks() if hook.name == "here"]
    client.delete_webhook(hook.webhook_id)


def hooks(_state: Path) -> None:
    """Each worker of the server can read them."""
    import mlflow

    for _ in range(20):
        (hook,) = mlflow.MlflowClient().list_webhooks()
        assert (hook.name, str(hook.status)) == ("hook", "ACTIVE"), hook


if __name__ == "__main__":
    doings = {
        "seal": seal,
        "hooks": hooks,
        "call": call,
        "hang-up": hang_up,
        "write": write,
        "read": read,
        "log": log,
        "crowd": crowd,
        "whole": whole,
        "litter": litter,
        "tidied": tidied,
        "large": large,
        "begin and go": begin_and_go,
        "stray": stray,
        "log beside": log_beside,
        "came from beside": came_from_beside,
        "strayed": strayed,
    }
    doings[sys.argv[1]](Path(sys.argv[2]))
