"""Asks MLflow's own app, with its own login, and tells how often that asked its database."""

import base64
import importlib.util
import json
import sys
from types import SimpleNamespace
from typing import Any

import mlflow.server.auth as auth  # noqa: TID253 - a program of its own
from mlflow.server import app  # noqa: TID253
from sqlalchemy import Engine, event

from stackctl import resources

USER, PASSWORD = "ada", "a password of ada's"
queries: list[str] = []


@event.listens_for(Engine, "before_cursor_execute")
def count(connection: Any, _cursor: object, statement: str, *_: object) -> None:
    """A query, by the database that it is for."""
    if not statement.startswith("PRAGMA"):
        url = str(connection.engine.url)
        queries.append("login" if url.endswith("users.db") else "runs")


def quickening() -> Any:
    """The module, with a clock that stands still until it is moved."""
    path = resources.folder("templates") / "entrypoints" / "mlflow_login.py"
    spec = importlib.util.spec_from_file_location("mlflow_login", str(path))
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    real = module.TTLCache
    module.TTLCache = lambda size, ttl: real(size, ttl, timer=lambda: clock.now)
    return module


clock = SimpleNamespace(now=0.0)
auth.create_app(app)
client = app.test_client()


def ask(method: str, path: str, body: object = None, user: str = USER) -> tuple[int, object]:
    """What a user is answered."""
    password = PASSWORD if user == USER else "a password of admin's"
    token = base64.b64encode(f"{user}:{password}".encode()).decode()
    answer = client.open(
        f"/api/{path}", method=method, json=body, headers={"Authorization": f"Basic {token}"}
    )
    return answer.status_code, answer.json


def ok(method: str, path: str, body: object = None) -> dict[str, object]:
    """What the administrator is answered."""
    status, found = ask(method, path, body, "admin")
    assert status == 200, (path, status, found)
    assert isinstance(found, dict)
    return found


ok("POST", "2.0/mlflow/users/create", {"username": USER, "password": PASSWORD})
experiment = ok("POST", "2.0/mlflow/experiments/create", {"name": "planes"})["experiment_id"]
made = ok("POST", "2.0/mlflow/runs/create", {"experiment_id": experiment})
run = made["run"]["info"]["run_id"]  # type: ignore[index]
thing = {"username": USER, "resource_type": "experiment", "resource_id": experiment}


def grant(permission: str) -> None:
    """Let the user do something, by the administrator."""
    ok("POST", "3.0/mlflow/users/permissions/grant", {**thing, "permission": permission})


def log(run_id: object = run) -> int:
    """Log a metric."""
    values = {"run_id": run_id, "key": "m", "value": 1, "timestamp": 1, "step": 1}
    return ask("POST", "2.0/mlflow/runs/log-metric", values)[0]


def read() -> int:
    """Read the run."""
    return ask("GET", f"2.0/mlflow/runs/get?run_id={run}")[0]


def look() -> int:
    """Read the experiment."""
    return ask("GET", f"2.0/mlflow/experiments/get?experiment_id={experiment}")[0]


def search() -> int:
    """Look for runs; 404 where none is shown."""
    wanted = {"experiment_ids": [experiment], "max_results": 5}
    status, found = ask("POST", "2.0/mlflow/runs/search", wanted)
    assert status == 200
    return 200 if isinstance(found, dict) and found.get("runs") else 404


CALLS = {"log-metric": log, "get-run": read, "get-experiment": look, "search": search}


def counted() -> dict[str, dict[str, int]]:
    """Of each call, how many queries of which database it costs, after it was made once."""
    found = {}
    for name, call in CALLS.items():
        assert call() == 200
        queries.clear()
        assert call() == 200
        found[name] = {kind: queries.count(kind) for kind in ("login", "runs")}
    return found


told: dict[str, object] = {}
grant("EDIT")
told["as shipped"] = counted()
told["no run"] = [log("0" * 32)]
ok("POST", "3.0/mlflow/users/permissions/revoke", thing)

module = quickening()
told["of another make"] = module.quicken(SimpleNamespace(store=auth.store))
assert module.quicken(auth)
told["before it was granted"] = [call() for call in CALLS.values()]
grant("EDIT")
told["after it was granted"] = [call() for call in CALLS.values()]
told["quickened"] = counted()
told["no run"] = [*told["no run"], log("0" * 32)]  # type: ignore[misc]
ok("POST", "3.0/mlflow/users/permissions/revoke", thing)
told["just revoked"] = [call() for call in CALLS.values()]
clock.now += module.SECONDS + 1
told["revoked"] = [call() for call in CALLS.values()]
admin = {"username": USER, "is_admin": True}
ok("PATCH", "2.0/mlflow/users/update-admin", admin)
clock.now += module.SECONDS + 1
first = log()
ok("PATCH", "2.0/mlflow/users/update-admin", {**admin, "is_admin": False})
clock.now += module.SECONDS + 1
told["administrator"] = [first, log()]
json.dump(told, sys.stdout)
