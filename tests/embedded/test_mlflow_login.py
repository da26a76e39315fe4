"""MLflow's login asks its database less, and lets in whom it let in before, and nobody else."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).parent / "login_program.py"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a server told that was asked by users, with `mlflow_login.py` and without."""
    folder = tmp_path_factory.mktemp("login")
    database = f"sqlite:///{folder}/users.db"
    (folder / "auth.ini").write_text(
        f"[mlflow]\ndefault_permission = NO_PERMISSIONS\ndatabase_uri = {database}\n"
        "admin_username = admin\nauth_cache_ttl_seconds = 60\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", str(PROGRAM)],
        cwd=folder, capture_output=True, text=True, check=False, timeout=600,
        env=os.environ | {
            "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
            "MLFLOW_AUTH_ADMIN_PASSWORD": "a password of admin's",
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "x" * 32,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{folder}/runs.db",
            "_MLFLOW_SERVER_ARTIFACT_ROOT": str(folder / "mlruns"),
        },
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout))


@pytest.mark.parametrize("call", ["log-metric", "get-run", "get-experiment", "search"])
def test_a_user_s_call_costs_the_login_nothing(told: dict[str, Any], call: str) -> None:
    plain, quick = told["as shipped"][call], told["quickened"][call]
    assert plain["login"] >= 3
    assert quick["login"] == 0
    # Nor is a run loaded to learn of which experiment it is.
    assert (quick["runs"] < plain["runs"]) is (call in ("log-metric", "get-run"))


def test_what_is_given_counts_at_once(told: dict[str, Any]) -> None:
    assert told["before it was granted"] == [403, 403, 403, 404]
    assert told["after it was granted"] == [200] * 4


def test_what_is_taken_away_is_void_when_nothing_is_remembered_any_more(
    told: dict[str, Any],
) -> None:
    assert told["just revoked"] == [200] * 4
    assert told["revoked"] == [403, 403, 403, 404]


def test_an_administrator_is_one_and_none_when_nothing_is_remembered_any_more(
    told: dict[str, Any],
) -> None:
    assert told["administrator"] == [200, 403]


def test_a_run_that_is_none_is_refused_as_before(told: dict[str, Any]) -> None:
    assert told["no run"] == [403, 403]


def test_another_mlflow_is_left_as_it_is(told: dict[str, Any]) -> None:
    assert told["of another make"] is False
