"""A client of a stack: only of one that runs, and is this home's."""

import sys
from pathlib import Path

import pytest

from stackctl.errors import NotRunning
from stackctl.operations.clients import client_of
from stackctl.operations.remove import remove
from stackctl.versions import MLFLOW
from tests.operations.stage import Stage


def of(stage: Stage, python: str = sys.executable) -> object:
    return client_of(
        stage.recorded("x"), packages=["mlflow"], python=python, progress=stage.progress
    )


def test_a_client_has_the_environment_of_its_stack(stage: Stage) -> None:
    x = stage.deployed("scenario-5", "name=x", "auth=basic")
    client = client_of(x, packages=["mlflow"], python=sys.executable, progress=stage.progress)
    assert client.server == MLFLOW
    assert client.environment["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:5000"
    password = x.secrets.read("admin_password").reveal()
    assert client.environment["MLFLOW_TRACKING_PASSWORD"] == password
    assert password not in repr(client)


def test_nobody_uses_a_stack_that_does_not_run(stage: Stage) -> None:
    x = stage.deployed("scenario-3b", "name=x")
    remove(x, progress=stage.progress)
    with stage.refuses(3, "stack 'x' is removed", "stackctl deploy scenario-3b --name x"):
        of(stage)
    stage.deploy("scenario-3b", "name=x")
    stage.goes_down("x", "tracking")
    with pytest.raises(NotRunning, match="is stopped"):
        of(stage)


def test_a_stack_whose_first_deploy_was_killed_is_to_be_deployed_again(stage: Stage) -> None:
    with stage.dies("create tracking"):
        stage.deploy("scenario-3b", "name=x")
    with stage.refuses(3, "stack 'x' is deploying", "stackctl deploy scenario-3b --name x"):
        of(stage)


def test_what_is_no_python_is_refused(stage: Stage) -> None:
    stage.deployed("scenario-3b", "name=x")
    for python in ("/no/such/python", str(Path(__file__))):
        with stage.refuses(2, python, "cannot be run as Python"):
            of(stage, python)
