"""The accounts of MLflow's own login: users, roles, and what they may do, from stack to stack."""

import os
from typing import Any, BinaryIO

import sqlalchemy as sa

from stackctl.courier import login, schemas
from stackctl.courier.verbs import Verb


def look(_job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, Any]:
    """How many users there are beside the administrator, and the version of their tables."""
    with sa.create_engine(_uri(), poolclass=sa.pool.NullPool).connect() as connection:
        query = sa.text("SELECT count(*) FROM users WHERE username <> :admin")
        users = connection.scalar(query, {"admin": login.ADMIN})
        return {"users": users, "revision": schemas.revision(connection, schemas.LOGIN)}


def rows_out(_job: dict[str, Any], _in: BinaryIO, out: BinaryIO) -> None:
    """Every row, as `stackctl.courier.rows` defines the stream."""
    from stackctl.courier import rows
    from stackctl.courier.parts import Part

    rows.write_rows(_uri(), out, part=Part.LOGIN)


def rows_in(_job: dict[str, Any], source: BinaryIO, _out: BinaryIO) -> dict[str, Any]:
    """Replace every row by those of a stream; the administrator has this stack's password."""
    from stackctl.courier import rows
    from stackctl.courier.parts import Part

    found = rows.read_rows(_uri(), source, Part.LOGIN)
    login.give(_uri(), os.environ["STACKCTL_ADMIN"])
    return found


def _uri() -> str:
    return os.environ["STACKCTL_ACCOUNTS"]


VERBS: dict[str, Verb] = {
    "accounts-look": look,
    "accounts-out": rows_out,
    "accounts-in": rows_in,
}
