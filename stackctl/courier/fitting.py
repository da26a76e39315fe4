"""What a database of MLflow cannot hold, before anybody gives it to it."""

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from stackctl.courier import unfit
from stackctl.courier.limits import CHARACTERS
from stackctl.courier.misfit import Misfit, Query, Shape, Values, identifier, select, told
from stackctl.courier.relocation import LOCATED

# MySQL's TEXT holds that many bytes. These columns of MLflow are of a wider type there (3.17.2).
_TEXT_BYTES = 2**16 - 1
_WIDER = {
    ("datasets", "dataset_profile"): 2**24 - 1,
    ("datasets", "dataset_schema"): 2**24 - 1,
    ("experiment_tags", "value"): 2**24 - 1,
    ("spans", "content"): 2**32 - 1,
}
# What is still what it was when its end is gone. Another text would mean another thing.
_PROSE = {
    "description", "param_value", "rationale", "request_preview", "response_preview",
    "source_name", "source_version", "status_message", "tag_value", "trace_name", "user_id",
    "value",
}  # fmt: skip
_DOCUMENTS = {("assessments", "value")}
_NO_UNICODE = "it is no Unicode"
# Names that are one for MySQL where they differ in case or accents alone, each with its owner.
_NAMES = {
    "experiment_tags": ("experiment_id", "key"),
    "experiments": ("name",),
    "input_tags": ("input_uuid", "name"),
    "latest_metrics": ("run_uuid", "key"),
    "logged_model_params": ("model_id", "param_key"),
    "logged_model_tags": ("model_id", "tag_key"),
    "model_version_tags": ("name", "version", "key"),
    "params": ("run_uuid", "key"),
    "registered_model_aliases": ("name", "alias"),
    "registered_model_tags": ("name", "key"),
    "registered_models": ("name",),
    "tags": ("run_uuid", "key"),
    "trace_request_metadata": ("request_id", "key"),
    "trace_tags": ("request_id", "key"),
}
_BYTES = {"sqlite": "length(cast({} AS BLOB))", "postgres": "octet_length({})",
          "mysql": "length({})"}  # fmt: skip
_NUL = {"sqlite": "instr(cast({} AS BLOB), x'00') > 0", "mysql": "locate(char(0), {}) > 0"}


def why(database: str, table: str, column: str, text: str) -> str:
    """Why a column cannot hold a text; "" where it can. SQLite keeps to no limit."""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return _NO_UNICODE
    if database == "postgres" and "\0" in text:
        return "it holds a NUL character, which PostgreSQL does not take"
    if database == "sqlite":
        return ""
    limit = CHARACTERS.get(table, {}).get(column)
    if limit is not None:
        return f"it has {len(text)} characters, and {limit} fit" if len(text) > limit else ""
    most = most_bytes(table, column)
    if database == "mysql" and size > most:
        return f"it has {size} bytes, and {most} fit"
    return ""


def most_bytes(table: str, column: str) -> int:
    """How many bytes a text without a length of its own holds on MySQL."""
    return _WIDER.get((table, column), _TEXT_BYTES)


def may_cut(table: str, column: str) -> bool:
    """A text of this column is still what it was when its end is gone."""
    if (table, column) == ("runs", "name"):
        return True
    return column in _PROSE and (table, column) not in _DOCUMENTS


def cut(database: str, table: str, column: str, text: str) -> str:
    """As much of a text as fits: what comes before a NUL, and before the limit."""
    if not why(database, table, column, text):
        return text
    if database == "postgres":
        text = text.partition("\0")[0]
    limit = CHARACTERS.get(table, {}).get(column)
    if limit is not None:
        return text[:limit]
    most = most_bytes(table, column)
    return text.encode()[:most].decode(errors="ignore") if database == "mysql" else text


def misfits(database: str, table: str, values: Values, where: str) -> Iterator[Misfit]:
    """Of one row."""
    for column, text in values.items():
        if isinstance(text, str) and (reason := why(database, table, column, text)):
            mendable = may_cut(table, column) and reason != _NO_UNICODE
            yield Misfit(f"{table}.{column} of {where}", reason, mendable)


def clashes(database: str, rows: Iterable[tuple[str, Values, str]]) -> Iterator[Misfit]:
    """Names that are one name on that database; of a table and its values, and where they are.

    MySQL compares by UCA's first level, MariaDB without blanks at the end too.
    """
    seen: dict[tuple[object, ...], str] = {}
    for table, values, where in rows:
        if database != "mysql" or table not in _NAMES:
            continue
        names = [values.get(column) for column in _NAMES[table]]
        first = seen.setdefault((table, *map(_folded, names)), where)
        if first != where:
            yield Misfit(f"{table}.{_NAMES[table][-1]} of {where}",
                         f"MySQL takes it for the one of {first}")  # fmt: skip


def in_tables(
    database: str,
    source: str,
    tables: Mapping[str, Shape],
    query: Query,
    moved: Callable[[str, str, str], str],
) -> Iterator[Misfit]:
    """What of a store's tables another database cannot hold, and what of them is broken.

    Args:
        database: Which.
        source: On which the tables are.
        tables: Those that count.
        query: Asks it.
        moved: What a text will be, of that table and column.
    """
    yield from unfit.broken(source, query)
    for name, shape in tables.items():
        if name not in CHARACTERS:
            continue
        yield from unfit.in_table(database, source, name, shape, query)
        if not shape.texts:
            continue
        columns = tuple(dict.fromkeys([*shape.key, *shape.texts]))
        for row in query(_long(database, source, name, shape, columns)):
            found = dict(zip(columns, row, strict=True))
            new = {
                column: moved(name, column, text) if isinstance(text, str) else text
                for column, text in found.items()
                if column in shape.texts
            }
            yield from misfits(database, name, new, told(found, shape.key))
    yield from clashes(database, _named(database, source, tables, query))


def _long(database: str, source: str, table: str, shape: Shape, columns: Sequence[str]) -> str:
    """The query for rows that may not fit: a character has one byte or more."""
    conditions = ["1 = 0"]
    for column in shape.texts:
        quoted = identifier(source, column)
        if column in LOCATED.get(table, ()):
            # It will be another one.
            conditions.append(f"{quoted} IS NOT NULL")
            continue
        limit = CHARACTERS.get(table, {}).get(column)
        if database != "sqlite" and (limit is not None or database == "mysql"):
            most = limit if limit is not None else most_bytes(table, column)
            conditions.append(f"{_BYTES[source].format(quoted)} > {most}")
        if database == "postgres" and source in _NUL:
            conditions.append(_NUL[source].format(quoted))
    return select(source, table, columns) + f" WHERE {' OR '.join(conditions)}"


def _named(
    database: str, source: str, tables: Mapping[str, Shape], query: Query
) -> Iterator[tuple[str, Values, str]]:
    # In a database of MySQL they are apart already.
    asked = database == "mysql" != source
    for table in sorted(set(_NAMES) & set(tables)) if asked else []:
        columns = _NAMES[table]
        for row in query(select(source, table, columns)):
            found = dict(zip(columns, row, strict=True))
            yield table, found, told(found, columns)


def _folded(name: object) -> object:
    if not isinstance(name, str):
        return name
    apart = unicodedata.normalize("NFKD", name.rstrip(" "))
    return "".join(c for c in apart if not unicodedata.combining(c)).casefold()
