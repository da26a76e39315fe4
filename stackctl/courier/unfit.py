"""Which numbers and documents a database cannot hold, and what SQLite keeps that is nobody's.

SQLite takes any value in any column, and looks at what refers to what only where it is told to.
"""

from collections.abc import Iterator
from math import isfinite

from stackctl.courier.copytext import single
from stackctl.courier.errors import Misfit as NotOfKind
from stackctl.courier.limits import NARROW
from stackctl.courier.misfit import Misfit, Query, Shape, identifier, select, told

# PostgreSQL and MySQL: INTEGER has four bytes.
_MOST = 2**31 - 1
# Of the floats, those that MySQL keeps in single precision (MLflow 3.17.2).
SINGLE = {("budget_policies", "budget_amount"), ("endpoint_model_mappings", "weight")}
# What SQLite says of the value's own type, by what its column is for.
_TYPES = {"integers": ("integer",), "floats": ("real", "integer"), "texts": ("text",)}
_SHOWN = 20


def broken(source: str, query: Query) -> Iterator[Misfit]:
    """What is wrong with the whole of a store, which no other takes."""
    if source != "sqlite":
        return
    for (said,) in query(f"PRAGMA integrity_check({_SHOWN})"):
        if said != "ok":
            yield Misfit("the database", str(said))
    for table, number, parent, _ in query("PRAGMA foreign_key_check"):
        yield Misfit(f"{table}, row {number}", f"what it belongs to is not in {parent}")


def in_table(
    database: str, source: str, table: str, shape: Shape, query: Query
) -> Iterator[Misfit]:
    """Those of one table."""
    for column, condition in _conditions(database, source, table, shape):
        columns = tuple(dict.fromkeys([*shape.key, column]))
        for row in query(f"{select(source, table, columns)} WHERE {condition}"):
            found = dict(zip(columns, row, strict=True))
            if why := _why(database, table, shape, column, found[column]):
                yield Misfit(f"{table}.{column} of {told(found, shape.key)}", why)


def _conditions(database: str, source: str, table: str, shape: Shape) -> Iterator[tuple[str, str]]:
    """Each column that may hold what does not fit, and the condition for its rows."""
    # A server's own are as narrow as another's.
    narrow = NARROW.get(table, ()) if source == "sqlite" != database else ()
    for what, types in _TYPES.items() if source == "sqlite" else ():
        for column in getattr(shape, what):
            listed = ", ".join(f"'{word}'" for word in (*types, "null"))
            yield column, f"typeof({identifier(source, column)}) NOT IN ({listed})"
    for column in shape.integers:
        # Experiments are numbered anew on the way out of a file.
        if column in narrow and column != "experiment_id":
            number = identifier(source, column)
            beyond = f"{number} NOT BETWEEN {-_MOST - 1} AND {_MOST}"
            yield column, f"typeof({number}) = 'integer' AND {beyond}"
    for column in shape.floats:
        if database == "mysql" and (table, column) in SINGLE and source != "mysql":
            yield column, f"{identifier(source, column)} IS NOT NULL"
        elif source == "sqlite" and database == "mysql":
            yield column, f"abs({identifier(source, column)}) > 1.7976931348623157e308"
        elif source == "postgres" and database != "postgres":
            yield column, f"{identifier(source, column)} IN ('NaN', 'Infinity', '-Infinity')"
    for column in shape.documents if source == "sqlite" and database != "sqlite" else ():
        yield column, f"NOT json_valid({identifier(source, column)})"


def _why(database: str, table: str, shape: Shape, column: str, value: object) -> str:
    if column in shape.documents:
        return "it is no JSON"
    if isinstance(value, str | bytes):
        return f"it is {'text' if isinstance(value, str) else 'a blob'}, which its column is not"
    if column in shape.integers:
        if isinstance(value, float):
            return f"it is {value}, which is no integer"
        return f"it is {value}, and only {-_MOST - 1} to {_MOST} fit"
    number = float(str(value))
    if not isfinite(number):
        fits = database == "postgres" or (database == "sqlite" and number == number)
        return "" if fits else f"it is {number}, which is no number there"
    if database == "mysql" and (table, column) in SINGLE:
        try:
            kept = single(number)
        except NotOfKind:
            kept = None
        return "" if kept == number else f"it is {number}, of which it keeps less"
    return ""
