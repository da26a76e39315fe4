"""What is read of MLflow's migrations without MLflow is what Alembic and MLflow say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from stackctl.courier import database, login, schemas

PASSWORD = "a password of 12 or more"


@pytest.fixture(scope="module")
def accounts(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A login's database, as MLflow makes it."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('login')}/users.db"
    assert login.give(uri, PASSWORD)
    return uri


def test_versions_are_those_that_alembic_knows() -> None:
    from alembic.script import ScriptDirectory
    from mlflow.server.auth.db import utils as of_login
    from mlflow.store.db import utils

    for schema, config in (
        (schemas.TRACKING, utils._get_alembic_config("")),  # type: ignore[no-untyped-call]
        (schemas.LOGIN, of_login._get_alembic_config("sqlite://")),
    ):
        scripts = ScriptDirectory.from_config(config)
        assert schemas.newest(schema) == set(scripts.get_heads())
        assert schemas.known(schema) == {found.revision for found in scripts.walk_revisions()}


def test_what_is_newest_needs_no_mlflow(tmp_path: Path, accounts: str) -> None:
    """To import it would take as long as all the rest."""
    made = sa.create_engine(f"sqlite:///{tmp_path}/runs.db", poolclass=sa.pool.NullPool)
    assert not schemas.is_newest(made, schemas.TRACKING)
    database.migrate(made, "heads")
    assert schemas.is_newest(made, schemas.TRACKING)
    assert schemas.is_newest(sa.create_engine(accounts), schemas.LOGIN)
    program = (
        "import io, sys; from stackctl.courier import database\n"
        "nothing = io.BytesIO()\n"
        "assert database.upgrade({}, nothing, nothing)['after']\n"
        "assert database.settle({'relocations': []}, nothing, nothing)['revision']\n"
        "assert 'mlflow' not in sys.modules\n"
    )
    environment = {
        **os.environ, "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{tmp_path}/runs.db",
        "STACKCTL_ACCOUNTS": accounts, "STACKCTL_ADMIN": "another of 12 or more",
    }  # fmt: skip
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
    assert login.give(accounts, PASSWORD), "it was another one"


def test_a_password_is_the_one_that_mlflow_asks_for(accounts: str) -> None:
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore()
    store.init_db(accounts)  # type: ignore[no-untyped-call]
    store.create_user("somebody", "of 12 or more characters")
    for new in ("another, of 12 or more", PASSWORD):
        assert login.give(accounts, new)
        assert not login.give(accounts, new), "nothing is to be changed"
        assert store.authenticate_user("admin", new)
        assert store.get_user("admin").is_admin
    assert store.authenticate_user("somebody", "of 12 or more characters")


def test_an_administrator_who_is_gone_is_made_anew(accounts: str) -> None:
    with sa.create_engine(accounts).begin() as connection:
        connection.execute(sa.text("DELETE FROM users WHERE username = 'admin'"))
    assert login.give(accounts, PASSWORD)
    assert not login.give(accounts, PASSWORD)
