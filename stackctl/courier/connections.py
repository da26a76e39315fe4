"""Connections to a store's database as its own driver makes them.

Rows pass by the million, so they pass the driver alone; SQLAlchemy reads the address and the
schema.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import sqlalchemy

from stackctl.courier.errors import DatabaseFailed, Refused, first_line

# A name without a driver would mean another one than is installed: psycopg 3, MySQLdb.
_DRIVERS = {
    "sqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg2",
    "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql",
}


@contextmanager
def engine(uri: str, *, writing: bool) -> Iterator[sqlalchemy.Engine]:
    """An engine for the database of a store.

    Raises:
        Refused: It is not one of SQLite (in a file), PostgreSQL, MySQL, MariaDB.
    """
    try:
        url = sqlalchemy.make_url(uri)
        backend = url.get_backend_name()
    except sqlalchemy.exc.ArgumentError:
        # The address may hold a password.
        raise Refused("the address of the database is none that SQLAlchemy can read") from None
    if backend not in _DRIVERS:
        raise Refused(f"a database of {backend} is none of {', '.join(_DRIVERS)}")
    url = url.set(drivername=_DRIVERS[backend])
    if backend == "sqlite":
        if not url.database or url.database == ":memory:":
            raise Refused("a SQLite database has to be a file")
        # Neither mode makes a file where there is none.
        mode = "rw" if writing else "ro"
        url = url.set(database=f"file:{quote(url.database)}", query={"mode": mode, "uri": "true"})
    elif backend in {"mysql", "mariadb"}:
        url = url.update_query_dict({"charset": "utf8mb4"})
    made = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    try:
        yield made
    finally:
        made.dispose()


def connect(engine: sqlalchemy.Engine, **arguments: Any) -> Any:
    """A connection of the driver's own.

    Args:
        engine: Names the database.
        **arguments: More words for the driver.

    Raises:
        DatabaseFailed: The database does not answer.
    """
    dialect = engine.dialect
    positional, named = dialect.create_connect_args(engine.url)
    try:
        return dialect.connect(*positional, **{**named, **arguments})
    except driver_error(engine) as error:
        raise DatabaseFailed(f"the database does not answer: {first_line(error)}") from None


def driver_error(engine: sqlalchemy.Engine) -> type[Exception]:
    """What every error of the driver is a subclass of."""
    error: type[Exception] = engine.dialect.loaded_dbapi.Error
    return error
