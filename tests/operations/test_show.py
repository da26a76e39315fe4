"""What is told of stacks."""

from dataclasses import replace

import pytest

from stackctl.errors import MachineError
from stackctl.operations.remove import remove
from stackctl.operations.show import brief, look
from stackctl.versions import MLFLOW
from tests.operations.stage import Stage


def test_a_stack_is_told_in_full(stage: Stage) -> None:
    x = stage.deployed("scenario-5", "name=x", "port=5555")
    seen = look(x)
    assert seen.state == "running"
    assert seen.tracking_uri == seen.ui == "http://127.0.0.1:5555"
    assert [service.name for service in seen.services] == [
        "bucket", "objects", "postgres", "tracking",
    ]  # fmt: skip
    assert seen.networks == ("edge", "inside")
    assert seen.volumes == {"objects": 4096, "postgres": 4096, "tracking-scratch": 4096}
    assert (seen.data, seen.data_bytes) == (None, None)
    assert {secret.name for secret in seen.secrets} == set(stage.manifest("x").secrets)


def test_plain_values_have_the_words_that_scripts_know(stage: Stage) -> None:
    x = stage.deployed("scenario-3b-mysql", "name=x")
    told = look(x).as_json()
    assert told["data"] == str(x.data)
    assert told["data_bytes"] == (x.data / "imagined").stat().st_size
    assert told["mlflow"] == MLFLOW
    service = next(s for s in told["services"] if s["name"] == "tracking")
    assert service["image"].startswith(f"stackctl-mlflow:{MLFLOW}-")
    assert service["one_shot"] is False
    assert not {"program", "once"} & set(service)
    secret = next(s for s in told["secrets"] if s["name"] == "mysql_password")
    assert (secret["present"], secret["mode"], secret["problem"]) == (True, "0600", "")
    assert secret["changed"].startswith("20")
    assert x.secrets.read("mysql_password").reveal() not in str(told)


def test_a_client_without_a_server_is_told_the_store(stage: Stage) -> None:
    x = stage.deployed("scenario-2", "name=x")
    assert look(x).tracking_uri == f"sqlite:///{x.data}/mlruns.db"


def test_a_secret_that_is_missing_was_never_changed(stage: Stage) -> None:
    x = stage.deployed("scenario-5", "name=x")
    (x.secrets.path / "s3_secret_key").unlink()
    (told,) = (s for s in look(x).as_json()["secrets"] if s["name"] == "s3_secret_key")
    assert (told["present"], told["changed"], told["problem"]) == (False, None, "missing")


def test_volumes_that_cannot_be_measured_are_there_all_the_same(stage: Stage) -> None:
    x = stage.deployed("scenario-5", "name=x")
    stage.machine.fails("disk use", MachineError("the daemon is busy"))
    assert look(x).volumes == {"objects": -1, "postgres": -1, "tracking-scratch": -1}


def test_a_folder_that_is_gone_has_no_size(stage: Stage) -> None:
    x = stage.deployed("scenario-3b", "name=x")
    x.data.rename(x.data.with_name("away"))
    assert (look(x).data, look(x).data_bytes) == (x.data, None)


def test_one_line_says_the_state_or_the_last_known(stage: Stage) -> None:
    x = stage.deployed("scenario-3b", "name=x")
    line = {"name": "x", "scenario": "scenario-3b", "ui": "http://127.0.0.1:5003"}
    assert brief(x.stack, x.runtime) == {**line, "state": "running"}
    assert brief(x.stack, None) == {**line, "state": "deployed?"}
    remove(x, progress=stage.progress)
    assert brief(x.stack, x.runtime) == {**line, "state": "removed"}


@pytest.mark.parametrize(
    ("services", "status", "state"),
    [
        ({}, "deployed", "stopped"),
        ({"tracking": "exited"}, "deployed", "stopped"),
        ({"tracking": "running"}, "restoring", "restoring"),
        ({"tracking": "running", "postgres": "exited"}, "deployed", "degraded"),
        ({"tracking": "starting"}, "deployed", "starting"),
    ],
)
def test_the_state_is_that_of_all_services(
    stage: Stage, services: dict[str, str], status: str, state: str
) -> None:
    x = stage.deployed("scenario-5", "name=x")
    stage.becomes("x", status=status)
    there = stage.machine.world.services[x.stack.owner]
    one = there["tracking"]
    forms = {
        "running": one,
        "exited": replace(one, state="exited", health="", exit_code=1),
        "starting": replace(one, health="starting"),
    }
    there.clear()
    there.update({name: replace(forms[how], name=name) for name, how in services.items()})
    assert look(x).state == state
