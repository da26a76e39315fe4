"""Which tables are MLflow's own, as its files say, is what it says when it is imported."""

from importlib import import_module

import pytest
import sqlalchemy as sa

from stackctl.courier import strangers


def test_mlflow_s_own_tables_are_those_that_its_models_define() -> None:
    for name in ("tracking", "model_registry", "workspace"):
        import_module(f"mlflow.store.{name}.dbmodels.models")
    from mlflow.store.db.base_sql_model import Base
    from mlflow.store.tracking.dbmodels.initial_models import Base as Initial

    assert strangers.of_mlflow() == {*Base.metadata.tables, *Initial.metadata.tables}


def test_a_database_of_the_stack_s_own_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STACKCTL_SHARED_DATABASE", raising=False)
    with sa.create_engine("sqlite://").connect() as connection:
        assert strangers.names(connection) == set()
