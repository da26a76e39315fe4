"""What stackctl takes from MLflow is there, and what MLflow keeps is known: a new release tells."""

import ast
import importlib
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import sqlalchemy as sa

from stackctl.courier.counting import COUNTED
from stackctl.courier.parts import Part, belongs
from stackctl.courier.relocation import LOCATED
from stackctl.versions import MLFLOW, older

ROOT = Path(__file__).parents[2]
SOURCES = [*(ROOT / "stackctl").rglob("*.py"), *(ROOT / "templates").rglob("*.py")]
# Tables that refer to no other and are not counted, and why.
NOT_COUNTED = {
    "budget_policies": "a limit for gateway endpoints, which are counted",
    "entity_associations": "between what is counted",
    "inputs": "of runs",
    "jobs": "of the server itself, and temporary",
    "scheduler_leases": "of the server itself, and not copied",
    "sql_assessment_daily_rollups": "computed from traces",
    "sql_span_cost_daily_rollups": "computed from traces",
    "sql_trace_metric_daily_rollups": "computed from traces",
    "sql_trace_rollup_rebuild_queue": "computed from traces",
    "workspaces": "stackctl has one, which is always there",
}
# Columns whose names say that they may tell where artifacts are, and what they tell.
NO_LOCATION = {
    "datasets.dataset_source": "where a user's own data are",
    "evaluation_dataset_records.source": "what a record was made from",
    "mcp_access_endpoints.url": "a server of a user",
    "mcp_server_versions.source": "a server of a user",
    "skill_versions.source": "below `mlflow-artifacts:` on every stack, as MLflow wants it",
    "skill_versions.subpath": "in a source",
    "webhooks.url": "who is called",
    "issues.root_causes": "text",
}


def imported() -> Iterator[tuple[str, str]]:
    """Each module of MLflow that is imported, and each name from it."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mlflow"):
                yield from ((str(node.module), alias.name) for alias in node.names)
            if isinstance(node, ast.Import):
                yield from ((a.name, "") for a in node.names if a.name.startswith("mlflow"))


def here() -> set[tuple[str, str]]:
    """Without those of single sign-on, which is in an environment of its own: see tests/oidc/."""
    return {(m, n) for m, n in imported() if not m.startswith("mlflow_oidc")}


@pytest.mark.parametrize(("module", "name"), sorted(here()))
def test_what_is_imported_is_there(module: str, name: str) -> None:
    found = importlib.import_module(module)
    assert not name or hasattr(found, name) or find_spec(f"{module}.{name}")


def test_what_is_called_in_private_is_there() -> None:
    from mlflow.store.tracking.file_store import FileStore
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    text = (ROOT / "stackctl" / "courier" / "gc.py").read_text("utf-8")
    called = set(re.findall(r"\bstore\.(_\w+)", text))
    assert called
    for store in (FileStore, SqlAlchemyStore):
        assert not [name for name in called if not hasattr(store, name)]


def test_sources_that_are_named_are_there() -> None:
    package = Path(importlib.import_module("mlflow").__file__ or "").parent
    named = {
        source
        for path in SOURCES
        for release, source in re.findall(
            r"(\d+\.\d+\.\d+),\s+(?:#\s+)?mlflow/([\w/]+\.py)", path.read_text("utf-8")
        )
        if not older(MLFLOW, release)
    }
    assert named
    assert not [source for source in named if not (package / source).is_file()]


def test_everything_that_stands_alone_is_counted() -> None:
    """What is not counted can be lost without a word, and a stack that holds it passes as empty."""
    alone = {table.name for table in tables() if not table.foreign_keys}
    counted = {name for query in COUNTED.values() for name in re.findall(r"FROM (\w+)", query)}
    assert alone - counted - set(NOT_COUNTED) == set()


def test_every_place_of_artifacts_is_known() -> None:
    """A place that is not rewritten leads to the old stack."""
    known = {f"{table}.{column}" for table, columns in LOCATED.items() for column in columns}
    telling = re.compile(r"(?!.*_(type|id|name|version)$).*(uri|url|location|source|path|root)")
    may = {
        f"{table.name}.{column.name}"
        for table in tables()
        for column in table.columns
        if telling.match(column.name)
    }
    assert known <= may
    assert may - known - set(NO_LOCATION) == set()


def test_the_tables_of_the_login_are_known() -> None:
    from mlflow.server.auth.db.models import Base

    assert Base.metadata.tables
    assert not [name for name in Base.metadata.tables if not belongs(name, Part.LOGIN)]


def tables() -> list[sa.Table]:
    """Those of the tracking store, as MLflow defines them."""
    import mlflow.store.model_registry.dbmodels.models
    import mlflow.store.tracking.dbmodels.models
    import mlflow.store.workspace.dbmodels.models  # noqa: F401
    from mlflow.store.db.base_sql_model import Base

    return list(Base.metadata.sorted_tables)
