"""Which stack serves a database that somebody else runs: a comment on a table of every schema."""

import sqlalchemy as sa

from stackctl.courier import schemas

_MARK = "stackctl "
_, _TABLE = schemas.TRACKING


def read(connection: sa.Connection) -> str:
    """The claim; "" where there is none, or no schema of MLflow."""
    inspector = sa.inspect(connection)
    if not inspector.has_table(_TABLE):
        return ""
    found = inspector.get_table_comment(_TABLE)["text"] or ""
    return found if found.startswith(_MARK) else ""


def write(connection: sa.Connection, claim: str) -> None:
    """Set it; "" takes it away. It has letters, digits, `-` and blanks."""
    connection.exec_driver_sql(
        f"COMMENT ON TABLE {_TABLE} IS '{claim}'"
        if connection.dialect.name == "postgresql"
        else f"ALTER TABLE {_TABLE} COMMENT = '{claim}'"
    )
