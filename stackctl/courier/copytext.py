r"""PostgreSQL's COPY text format, one column of a batch of rows at a time.

A *field* is a value as text: `\N` is NULL, a backslash escapes what would end a field or a row, a
blob is `\\x` and hexadecimal digits, a boolean `t` or `f`. Equal values are equal fields whichever
database they come from, so that fields can be hashed and compared; what COPY itself writes differs
from this only in floats. The format: PostgreSQL's manual, COPY, "Text Format".

Columns are treated as a whole because a batch has thousands of rows: the set of the types in a
column says in one go which values fit, and whether any has to be looked at twice.
"""

import re
import struct
from collections.abc import Callable, Sequence
from datetime import date
from enum import StrEnum
from itertools import compress
from typing import Any

from stackctl.courier.errors import Misfit, shortened

NULL = "\\N"
Fields = Sequence[str]


class Kind(StrEnum):
    """What a column holds.

    `SINGLE` is a float of single precision, as two columns of MLflow are on MySQL.
    """

    INTEGER = "an integer"
    BOOLEAN = "a boolean"
    FLOAT = "a float"
    SINGLE = "a float of single precision"
    TEXT = "text"
    JSON = "JSON"
    BLOB = "a blob"
    DATE = "a date"


_ESCAPES = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}
_SPECIAL = re.compile(r"[\\\x08-\x0d]")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_BOOLEANS = {0: "f", 1: "t"}
_TYPES: dict[Kind, frozenset[type]] = {
    Kind.INTEGER: frozenset({int}),
    Kind.BOOLEAN: frozenset({int, bool}),
    Kind.FLOAT: frozenset({float, int}),
    Kind.SINGLE: frozenset({float, int}),
    Kind.TEXT: frozenset({str}),
    # SQLite turns a document that is a bare number into one: the type JSON has NUMERIC affinity.
    Kind.JSON: frozenset({str, int, float}),
    Kind.BLOB: frozenset({bytes}),
    Kind.DATE: frozenset({str, date}),
}


def encode(kind: Kind, values: Sequence[Any]) -> Fields:
    """The fields of a column's values as sqlite3 and PyMySQL give them.

    Raises:
        Misfit: A value is not of this kind, as SQLite allows in any column.
    """
    types = set(map(type, values))
    if type(None) in types:
        there = [value is not None for value in values]
        found = iter(encode(kind, list(compress(values, there))))
        return [next(found) if is_there else NULL for is_there in there]
    if not types <= _TYPES[kind]:
        wrong = next(value for value in values if type(value) not in _TYPES[kind])
        raise Misfit(f"{shortened(wrong)} is not {kind.value}")
    return _ENCODERS[kind](values)


def decode(kind: Kind, fields: Fields) -> list[Any]:
    """The values of a column's fields, as sqlite3 takes them.

    Raises:
        Misfit: A field is not of this kind.
    """
    if NULL in fields:
        there = [field != NULL for field in fields]
        found = iter(decode(kind, list(compress(fields, there))))
        return [next(found) if is_there else None for is_there in there]
    decoder = _DECODERS[kind]
    try:
        return list(map(decoder, fields))
    except (ValueError, KeyError):
        raise Misfit(f"{shortened(_wrong(decoder, fields))} is not {kind.value}") from None


def floats(fields: Fields) -> Fields:
    """The same floats, written as this module does."""
    if NULL in fields:
        return [field if field == NULL else _float(float(field)) for field in fields]
    return _floats(list(map(float, fields)))


def escape(text: str) -> str:
    """A text as a field."""
    text = text.replace("\\", "\\\\")
    for character, escaped in _ESCAPES.items():
        text = text.replace(character, escaped)
    return text


def unescape(field: str) -> str:
    """The text of a field.

    Raises:
        ValueError: A backslash stands before a character that needs none.
    """
    if "\\" not in field:
        return field
    # No text that was UTF-8 has half a pair of surrogates.
    text = field.replace("\\\\", "\ud800")
    for character, escaped in _ESCAPES.items():
        text = text.replace(escaped, character)
    if "\\" in text:
        raise ValueError(field)
    return text.replace("\ud800", "\\")


def single(value: float) -> float:
    """The shortest decimal that single precision keeps apart from its neighbours.

    Raises:
        Misfit: It is beyond what single precision can hold.
    """
    try:
        (kept,) = struct.unpack("f", struct.pack("f", value))
    except OverflowError:
        raise Misfit(f"{value} is beyond single precision") from None
    for digits in range(6, 9):
        near = float(f"{kept:.{digits}g}")
        if struct.pack("f", near) == struct.pack("f", kept):
            return near
    return float(f"{kept:.9g}")


def _texts(values: Sequence[str]) -> Fields:
    if _SPECIAL.search("".join(values)) is None:
        return values
    return [escape(value) if _SPECIAL.search(value) else value for value in values]


def _float(value: float) -> str:
    # SQLite stores minus zero as zero; a sum makes that of it, and is nothing to other values.
    return repr(value + 0.0)


def _floats(values: Sequence[float]) -> Fields:
    plain = 0.0 not in values and set(map(type, values)) <= {float}
    return list(map(repr if plain else _float, values))


def _booleans(values: Sequence[int]) -> Fields:
    try:
        return list(map(_BOOLEANS.__getitem__, values))
    except KeyError as error:
        raise Misfit(f"{error} is not a boolean") from None


def _dates(values: Sequence[str | date]) -> Fields:
    fields = [value if isinstance(value, str) else value.isoformat() for value in values]
    return [str(_day(field)) for field in fields]


def _day(field: str) -> str:
    try:
        if _DATE.fullmatch(field):
            return date.fromisoformat(field).isoformat()
    except ValueError:
        pass
    raise Misfit(f"{shortened(field)} is not a date")


def _document(value: str | float) -> str:
    return value if isinstance(value, str) else repr(value)


_ENCODERS: dict[Kind, Callable[[Sequence[Any]], Fields]] = {
    Kind.INTEGER: lambda values: list(map(str, values)),
    Kind.BOOLEAN: _booleans,
    Kind.FLOAT: _floats,
    Kind.SINGLE: lambda values: _floats(list(map(single, values))),
    Kind.TEXT: _texts,
    Kind.JSON: lambda values: _texts(list(map(_document, values))),
    Kind.BLOB: lambda values: [f"\\\\x{value.hex()}" for value in values],
    Kind.DATE: _dates,
}


def _integer(field: str) -> int:
    value = int(field)
    if not -(2**63) <= value < 2**63:
        raise ValueError(field)
    return value


def _blob(field: str) -> bytes:
    if not field.startswith("\\\\x"):
        raise ValueError(field)
    return bytes.fromhex(field[3:])


def _wrong(decoder: Callable[[str], Any], fields: Fields) -> str:
    for field in fields:
        try:
            decoder(field)
        except (ValueError, KeyError):
            return field
    raise AssertionError(fields)


_DECODERS: dict[Kind, Callable[[str], Any]] = {
    Kind.INTEGER: _integer,
    Kind.BOOLEAN: {"f": 0, "t": 1}.__getitem__,
    Kind.FLOAT: float,
    Kind.SINGLE: float,
    Kind.TEXT: unescape,
    Kind.JSON: unescape,
    Kind.BLOB: _blob,
    Kind.DATE: _day,
}
