"""Tests of a project that trains once for all of them, on a real tracking server."""

import urllib.request
from collections.abc import Iterator

import mlflow
import pytest
from training import train

from stackctl.testing import TrackingStack


@pytest.fixture(scope="module")
def trained(tracking_stack: TrackingStack) -> Iterator[str]:
    with tracking_stack.as_environment():
        yield train(3)


def test_run_has_what_was_logged(trained: str, tracking_uri: str) -> None:
    run = mlflow.MlflowClient(tracking_uri).get_run(trained)
    assert run.data.params == {"depth": "3"}
    assert run.data.metrics == {"accuracy": 0.75}


def test_report_is_read_back(trained: str, tracking_uri: str) -> None:
    text = mlflow.artifacts.load_text(f"runs:/{trained}/report/summary.txt")
    assert text == "depth 3: größer\n"


def test_tracking_uri_is_a_server(tracking_uri: str) -> None:
    assert mlflow.get_tracking_uri() == tracking_uri
    with urllib.request.urlopen(f"{tracking_uri}/version", timeout=10) as answer:
        assert answer.read().decode() == mlflow.__version__
