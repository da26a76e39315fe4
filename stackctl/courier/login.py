"""The password of the administrator of MLflow's own login."""

from typing import Any

import sqlalchemy as sa

from stackctl.courier import schemas

ADMIN = "admin"


def give(accounts: str, password: str) -> bool:
    """Have the administrator have this password; whether it was another, or there was none.

    MLflow's own store of users takes seconds to import, and writes the same
    (mlflow/server/auth/sqlalchemy_store.py, 3.17.2); it is asked where its tables are to be made.
    """
    made = sa.create_engine(accounts, poolclass=sa.pool.NullPool)
    if schemas.is_newest(made, schemas.LOGIN):
        with made.begin() as connection:
            query = sa.text("SELECT password_hash FROM users WHERE username = :name")
            if kept := connection.scalar(query, {"name": ADMIN}):
                return _replace(connection, str(kept), password)
    else:
        # The store would make them too, but not in MySQL.
        migrate(made, "head")
    store = _store(accounts)
    if not store.has_user(ADMIN):
        store.create_user(ADMIN, password, is_admin=True)
    elif store.authenticate_user(ADMIN, password):
        return False
    else:
        store.update_user(ADMIN, password=password)
    return True


def _replace(connection: sa.Connection, kept: str, password: str) -> bool:
    from werkzeug.security import check_password_hash, generate_password_hash

    if check_password_hash(kept, password):
        return False
    connection.execute(
        sa.text("UPDATE users SET password_hash = :new WHERE username = :name"),
        {"new": generate_password_hash(password), "name": ADMIN},
    )
    return True


def _store(accounts: str) -> Any:
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore()
    store.init_db(accounts)  # type: ignore[no-untyped-call]
    return store


def migrate(made: sa.Engine, revision: str) -> None:
    """Run the migrations of the login's tables, in MySQL too.

    MLflow 3.17.2 gives two constraints of its first version one name, which MySQL refuses;
    `templates/entrypoints/mlflow_login.py` does the same for servers.
    """
    from mlflow.server.auth.db.utils import migrate as run

    sa.event.listen(sa.Table, "before_create", _without_names)
    try:
        run(made, revision)
    finally:
        sa.event.remove(sa.Table, "before_create", _without_names)


def _without_names(table: sa.Table, connection: sa.Connection, **_: object) -> None:
    if connection.dialect.name == "mysql":
        for constraint in table.foreign_key_constraints:
            constraint.name = None
