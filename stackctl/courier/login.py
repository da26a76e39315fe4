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
