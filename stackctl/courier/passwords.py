"""The passwords of the database's user and of the login's administrator, while they change.

Values come with the job, over standard input, and stand in no address, no argument and no error.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import closing
from typing import Any, BinaryIO

import sqlalchemy as sa

from stackctl.courier import login
from stackctl.courier.database import uri
from stackctl.courier.errors import CourierError, first_line
from stackctl.courier.verbs import Verb

# MySQL's error "access denied for user".
_ACCESS_DENIED = 1045


def taken(job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, list[bool]]:
    """Which of `values` the database takes: `{"taken": [true, false]}`."""
    return {"taken": [_opens(value) for value in job["values"]]}


def change(job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, bool]:
    """Have the database take `new`; with one of `old` it is asked to, where it does not yet."""
    if _opens(job["new"]):
        return {"changed": False}
    for old in job["old"]:
        made = _connected(old)
        if made is not None:
            with closing(made) as connection:
                _CHANGE[_address().get_backend_name()](connection, job["new"])
            return {"changed": True}
    raise CourierError("the database takes none of the passwords that stackctl knows")


def change_login(job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, bool]:
    """Give the login's administrator the password `new`, where it is another."""
    return {"changed": login.give(os.environ["STACKCTL_ACCOUNTS"], job["new"])}


def _address() -> sa.URL:
    return sa.make_url(uri())


def _opens(password: str) -> bool:
    made = _connected(password)
    if made is not None:
        made.close()
    return made is not None


def _connected(password: str) -> Any:
    """A connection with `password`; None where it is refused."""
    return _CONNECT[_address().get_backend_name()](_address(), password)


def _words(address: sa.URL) -> dict[str, Any]:
    """What SQLAlchemy would tell the driver."""
    _, words = address.get_dialect()().create_connect_args(address)
    return dict(words)


def _connect_postgres(address: sa.URL, password: str) -> Any:
    import psycopg2

    try:
        return psycopg2.connect(**_words(address) | {"password": password, "connect_timeout": 10})
    except psycopg2.OperationalError as error:
        # libpq tells no code of an error that ends the connection.
        if "password authentication failed" in str(error):
            return None
        raise CourierError(f"the database does not answer: {first_line(error)}") from None


def _connect_mysql(address: sa.URL, password: str) -> Any:
    import pymysql

    try:
        # PyMySQL sends Latin-1, and the file's own bytes are the password.
        sent = password.encode().decode("latin-1")
        return pymysql.connect(**_words(address) | {"password": sent})
    except pymysql.err.OperationalError as error:
        if error.args[0] == _ACCESS_DENIED:
            return None
        raise CourierError(f"the database does not answer: {first_line(error)}") from None


def _change_postgres(connection: Any, new: str) -> None:
    """Send what the server keeps instead of the password: a statement may be in its log."""
    from psycopg2.extensions import encrypt_password

    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        verifier = encrypt_password(new, cursor.fetchone()[0], connection, "scram-sha-256")
        cursor.execute("ALTER ROLE CURRENT_USER PASSWORD %s", (verifier,))


def _change_mysql(connection: Any, new: str) -> None:
    """A user may change its own; both servers keep passwords out of their logs."""
    with connection.cursor() as cursor:
        if "MariaDB" in connection.get_server_info():
            # MariaDB 10.11 asks for more rights for ALTER USER. This is what PASSWORD() gives.
            twice = hashlib.sha1(hashlib.sha1(new.encode()).digest()).hexdigest()  # noqa: S324
            cursor.execute("SET PASSWORD = %s", (f"*{twice.upper()}",))
        else:
            cursor.execute("ALTER USER USER() IDENTIFIED BY %s", (new,))


_CONNECT: dict[str, Callable[[sa.URL, str], Any]] = {
    "postgresql": _connect_postgres,
    "mysql": _connect_mysql,
}
_CHANGE: dict[str, Callable[[Any, str], None]] = {
    "postgresql": _change_postgres,
    "mysql": _change_mysql,
}

VERBS: dict[str, Verb] = {
    "password-taken": taken,
    "password-change": change,
    "password-login": change_login,
}
