"""This process as a client, and as it was before."""

import os
from pathlib import Path

import pytest

from stackctl.client.environment import ClientEnvironment
from stackctl.testing import environment

SECRET = "a-secret-of-the-stack"


@pytest.fixture
def variables(tmp_path: Path) -> ClientEnvironment:
    path = tmp_path / "admin_password"
    path.write_text(SECRET)
    return ClientEnvironment(
        {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "AWS_PROFILE": "default"},
        {"MLFLOW_TRACKING_PASSWORD": path},
        ("AWS_ACCESS_KEY_ID",),
    )


def test_environment_is_a_client_s_and_then_as_before(
    variables: ClientEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "MLFLOW_TRACKING_TOKEN", "MLFLOW_REGISTRY_URI",
                 "MLFLOW_EXPERIMENT_ID", "OTHER"):  # fmt: skip
        monkeypatch.setenv(name, "of the user")
    before = dict(os.environ)
    with environment.applied(variables):
        assert os.environ["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:9"
        assert os.environ["MLFLOW_TRACKING_PASSWORD"] == SECRET
        assert os.environ["AWS_PROFILE"] == "default"
        assert os.environ["OTHER"] == "of the user"
        left = {"AWS_ACCESS_KEY_ID", "MLFLOW_TRACKING_TOKEN", "MLFLOW_REGISTRY_URI",
                "MLFLOW_EXPERIMENT_ID"} & os.environ.keys()  # fmt: skip
        assert left == set()
        # As MLflow itself does.
        os.environ["MLFLOW_EXPERIMENT_ID"] = "7"
        os.environ["MLFLOW_RUN_ID"] = "8"
    assert dict(os.environ) == before


def test_environment_is_as_before_when_a_test_fails(variables: ClientEnvironment) -> None:
    before = dict(os.environ)
    with pytest.raises(ZeroDivisionError), environment.applied(variables):
        _ = 1 / 0
    assert dict(os.environ) == before


def test_what_a_test_sets_itself_is_its_own(
    variables: ClientEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER", "before")
    with environment.applied(variables):
        os.environ["OTHER"] = "set by the test"
    assert os.environ["OTHER"] == "set by the test"


def test_secret_is_used_and_not_shown(variables: ClientEnvironment) -> None:
    found = environment.plain(variables)
    assert found["MLFLOW_TRACKING_PASSWORD"] == SECRET
    assert os.fsencode(found["MLFLOW_TRACKING_PASSWORD"]) == SECRET.encode()
    shown = f"{found!r} {[found]} {list(found.items())}"
    assert SECRET not in shown
    assert "http://127.0.0.1:9" in shown
