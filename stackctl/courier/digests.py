"""The digest of a table: equal for equal rows, whatever their order and the database."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from stackctl.courier.copytext import NULL, Fields, unescape
from stackctl.courier.errors import Misfit, shortened

_SIZE = 16
# What 64 bits hold, signed or unsigned: beyond that MySQL makes a double of a JSON number.
_LEAST, _MOST = -(2**63), 2**64
# Up to here a double that is a whole number is exactly that.
_EXACT = 2**53


@dataclass
class Digest:
    """Counts rows and adds up their hashes, modulo 2**128.

    A sum and not an exclusive or: two equal rows do not cancel each other.
    """

    rows: int = 0
    total: int = 0

    def add(self, data: bytes) -> None:
        """Take in rows, each ended by a line feed."""
        lines = data.split(b"\n")
        lines.pop()
        self.rows += len(lines)
        whole = int.from_bytes
        self.total += sum(
            [whole(blake2b(line, digest_size=_SIZE).digest(), "little") for line in lines]
        )

    def told(self) -> dict[str, Any]:
        """Rows and digest, as the end of a stream names them."""
        return {"rows": self.rows, "digest": f"{self.total % 2 ** (8 * _SIZE):032x}"}


def canonical(fields: Fields) -> Fields:
    """JSON documents with one way to write each.

    MySQL keeps a document as what it means: keys in an order of its own, numbers as integers of 64
    bits or doubles. PostgreSQL's `json`, MariaDB and SQLite keep the text.

    Raises:
        Misfit: A field holds no JSON.
    """
    return [field if field == NULL else _canonical(field) for field in fields]


def _canonical(field: str) -> str:
    try:
        document = _plain(json.loads(unescape(field)))
    except (ValueError, RecursionError):
        raise Misfit(f"{shortened(field)} is not JSON") from None
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < _EXACT:
        return int(value)
    if isinstance(value, int) and not _LEAST <= value < _MOST:
        try:
            return float(value)
        except OverflowError:
            return value
    return value


def joined(columns: Sequence[Fields]) -> bytes:
    """The rows of some columns, tabs between fields and a line feed at the end of each."""
    lines = list(map("\t".join, zip(*columns, strict=True)))
    lines.append("")
    return "\n".join(lines).encode()
