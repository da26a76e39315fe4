"""What a database is that somebody else runs, before anybody relies on it; it is only read."""

import time
from typing import Any, BinaryIO

import sqlalchemy as sa

from stackctl.courier import claims, schemas, strangers
from stackctl.courier.counting import counted
from stackctl.courier.database import engine
from stackctl.courier.errors import first_line
from stackctl.courier.verbs import Verb

# Each is one value. What a server does not tell, or not to this user, is None.
_POSTGRES = {
    "version": "SELECT current_setting('server_version')",
    "tls": "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    "only_read": "SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool",
    "schema": "SELECT current_schema()",
    "may_create": "SELECT has_schema_privilege(current_schema(), 'CREATE')",
    "clock": "SELECT extract(epoch FROM clock_timestamp())",
    "free": "SELECT current_setting('max_connections')::int"
    " - current_setting('superuser_reserved_connections')::int"
    " - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')",
    "own_limit": "SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user",
}
_MYSQL = {
    "version": "SELECT version()",
    "tls": "SELECT variable_value <> '' FROM performance_schema.session_status"
    " WHERE variable_name = 'Ssl_cipher'",
    "only_read": "SELECT @@read_only OR @@innodb_read_only",
    "schema": "SELECT database()",
    "characters": "SELECT default_character_set_name FROM information_schema.schemata"
    " WHERE schema_name = database()",
    "clock": "SELECT unix_timestamp(now(6))",
    "free": "SELECT @@max_connections - (SELECT count(*) FROM information_schema.processlist)",
}
_ASKED = {"postgresql": _POSTGRES, "mysql": _MYSQL}


def look(_job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, Any]:
    """What it says of itself, and which of MLflow's schemas is in it.

    `{"failure": "…"}` where it lets nobody in; else `version`, `tls`, `only_read`, `schema`,
    `may_create`, `characters`, `free` (connections), `late` (seconds that its clock is behind),
    `revision` ("" for none), `known` and `newest` (of the revision, to this MLflow), `counts`,
    `encrypted` (see `stackctl.courier.keys`), `claim` ("" for none), and `strangers`, tables that
    MLflow did not make.
    """
    made = engine()
    try:
        connection = made.connect()
    except sa.exc.DBAPIError as error:
        return {"failure": _said(error.orig or error)}
    with connection:
        found = {
            name: _told(connection, query) for name, query in _ASKED[made.dialect.name].items()
        }
        found["late"] = time.time() - float(found.pop("clock") or time.time())
        limit = found.pop("own_limit", None)
        if limit is not None and limit >= 0 and found["free"] is not None:
            found["free"] = min(found["free"], limit)
        if not found["schema"]:
            return found
        tables = set(sa.inspect(connection).get_table_names())
        revision = schemas.revision(connection, schemas.TRACKING)
        counts, closed = counted(tables, lambda q, own: connection.scalar(sa.text(q), own))
        said, others = claims.read(connection), strangers.names(connection)
    return found | {
        "revision": revision,
        "known": revision in schemas.known(schemas.TRACKING),
        "newest": {revision} == schemas.newest(schemas.TRACKING),
        "counts": counts if revision else {},
        "encrypted": closed if revision else {},
        "claim": said,
        "strangers": sorted(others),
    }


def _said(error: BaseException) -> str:
    """The driver of MySQL gives a number beside its words."""
    number, *words = error.args or ("",)
    return str(words[0]) if isinstance(number, int) and words else first_line(error)


def _told(connection: sa.Connection, query: str) -> Any:
    try:
        with connection.begin_nested():
            found = connection.scalar(sa.text(query))
    except sa.exc.DBAPIError:
        return None
    return found if isinstance(found, str | int | bool | None) else float(found)


def claim(job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, bool]:
    """Write down that `claim` serves what is there, where only `whose` or nobody does yet."""
    made, wanted = engine(), job["claim"]
    with made.begin() as connection:
        there = claims.read(connection)
        changes = there != wanted and there in ("", job["whose"])
        if changes and schemas.revision(connection, schemas.TRACKING):
            claims.write(connection, wanted)
    return {"changed": changes}


VERBS: dict[str, Verb] = {"database-look": look, "database-claim": claim}
