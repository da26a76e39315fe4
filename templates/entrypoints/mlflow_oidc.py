"""MLflow with single sign-on, as mlflow-oidc-auth has it: `app`, and what it needs before.

The plug-in (11.0.2) opens its database while it is imported: only a process may import it that no
other is forked from. People are its users; the user `admin`, whom no provider can vouch for, is
stackctl itself and whoever has the secret `admin_password`.
"""

import os
import types
from datetime import datetime

# It would take whatever it finds in a file .env of any folder above its own.
os.environ["PYTHON_DOTENV_DISABLED"] = "true"

OWN = "admin"
NEVER = datetime(9999, 12, 31)


class Hashable(dict):
    """What a default of a dataclass may be."""

    __hash__ = object.__hash__


def app():
    """The application, with the checks of Host and origin that MLflow's own has."""
    with importable():
        from mlflow.server.fastapi_security import init_fastapi_security
        from mlflow_oidc_auth.app import app as found
    init_fastapi_security(found)
    return found


class importable:  # noqa: N801 - as contextlib's
    """Python 3.11 takes no read-only mapping as a default, which two of its dataclasses have."""

    def __enter__(self):
        self._kept = types.MappingProxyType
        if self._kept.__hash__ is None:
            types.MappingProxyType = Hashable

    def __exit__(self, *_):
        types.MappingProxyType = self._kept


def make_ready():
    """Bring its database to its schema, and have `admin` come in with the stack's secret alone."""
    password = os.environ.pop("STACKCTL_ADMIN")
    uri = os.environ["OIDC_USERS_DB_URI"]
    make_schema(uri)
    with importable():
        from mlflow_oidc_auth.store import store

        if not store.user_repo.exist(OWN):
            store.create_user(OWN, OWN, is_admin=True, is_service_account=True)
        let_in(store, password)


def make_schema(uri):
    """PostgreSQL: a schema for its tables, which are called as those of MLflow's own login.

    Of several servers that start at once one makes it.
    """
    if not uri.startswith("postgresql"):
        return
    import sqlalchemy

    engine = sqlalchemy.create_engine(uri)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(hashtext('stackctl'))"))
        connection.execute(sqlalchemy.text("CREATE SCHEMA IF NOT EXISTS people"))
    engine.dispose()


def let_in(store, password):
    """Have the one token of the user be the secret: found by its prefix, where it has one."""
    from mlflow_oidc_auth.db.models import SqlUser, SqlUserToken
    from mlflow_oidc_auth.repository.user_token import TOKEN_HASH_METHOD, parse_prefix
    from werkzeug.security import check_password_hash, generate_password_hash

    with store.ManagedSessionMaker(read_only=False) as session:
        user = session.query(SqlUser).filter(SqlUser.username == OWN).one()
        user.is_admin, user.is_service_account, user.active = True, True, True
        user.service_account_source = "internal"
        tokens = session.query(SqlUserToken).filter(SqlUserToken.user_id == user.id)
        prefix = parse_prefix(password)
        found = tokens.all()
        if (
            len(found) == 1
            and found[0].token_prefix == prefix
            and found[0].expires_at >= NEVER
            and check_password_hash(found[0].token_hash, password)
        ):
            return
        tokens.delete(synchronize_session=False)
        session.add(
            SqlUserToken(
                user_id=user.id,
                name="stackctl",
                token_prefix=prefix,
                token_hash=generate_password_hash(password, method=TOKEN_HASH_METHOD),
                created_at=datetime.now(),
                created_by="stackctl",
                expires_at=NEVER,
            )
        )
