"""What a driver's error means: which table and column, and whether the data or the machine."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from stackctl.courier.errors import CourierError, DatabaseFailed, Refused, first_line
from stackctl.courier.tables import Table

Explain = Callable[[Any, Table | None], CourierError]

_LONGEST = 300
# SQLSTATE: data exceptions, and violations of a constraint.
_DATA = ("22", "23")
# MySQL and MariaDB: what is about a value or a row, and no trouble of the server.
_MYSQL_DATA = frozenset(
    {1048, 1062, 1216, 1217, 1264, 1265, 1292, 1364, 1366, 1406, 1451, 1452, 1557, 1586, 1690, 3140,
     3141, 3156, 3157, 3819, 4025, 4078}
)  # fmt: skip


def explain_postgres(error: Any, table: Table | None) -> CourierError:
    """An error of psycopg2."""
    about = error.diag
    place = re.search(r"^COPY [^,]+, line \d+, column ([^:]+)", about.context or "", re.MULTILINE)
    column = about.column_name or (place and place[1])
    message = about.message_primary or first_line(error)
    if about.message_detail:
        message = f"{message}: {about.message_detail}"
    return _told(message, table, column, (error.pgcode or "").startswith(_DATA))


def explain_mysql(error: Any, table: Table | None) -> CourierError:
    """An error of PyMySQL, or the number and the text of a warning."""
    number, message = _numbered(error)
    column = None
    if found := re.search(r"column [`']?(?:[^`']*[`']\.[`'])*([^`']+)[`']", message):
        column = found[1]
    elif table and re.search(r"for key '(?:[^']*\.)?PRIMARY'", message):
        column = "/".join(table.key)
    return _told(message, table, column, number in _MYSQL_DATA)


def explain_sqlite(error: Any, table: Table | None) -> CourierError:
    """An error of sqlite3."""
    name = type(error).__name__
    return _told(first_line(error), table, None, name in {"IntegrityError", "DataError"})


def _numbered(error: Any) -> tuple[int, str]:
    found: Sequence[Any] = error.args if isinstance(error, Exception) else error
    if len(found) >= 2 and isinstance(found[0], int):
        return found[0], str(found[1])
    return 0, first_line(error)


def _told(message: str, table: Table | None, column: str | None, about_data: bool) -> CourierError:
    place = (
        f"{table.name}.{column}: " if table and column else f"table {table.name}: " if table else ""
    )
    kind = Refused if about_data else DatabaseFailed
    text = " ".join(message.split())
    return kind(place + (text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"))
