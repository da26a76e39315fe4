"""A stream of rows: frames of one line of JSON and the bytes of a batch.

A frame is `{"table": …, "columns": […], "rows": N, "bytes": M}`, a line feed, and M bytes of N rows
in PostgreSQL's COPY text format (see `copytext`). Each table has at least one frame, be it of no
rows. The last line is `{"end": {table: {"rows": n, "digest": "…"}}}`; a stream without it was cut.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from stackctl.courier.errors import Refused

_HEADER_LIMIT = 2**20
_PIECE = 2**20

End = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Frame:
    """Rows of one table.

    Attributes:
        columns: Their names, in the order of the fields of a row.
        data: The rows, each ended by a line feed.
    """

    table: str
    columns: tuple[str, ...]
    rows: int
    data: bytes


def write_frame(out: BinaryIO, table: str, columns: Sequence[str], rows: int, data: bytes) -> None:
    """Append a batch of rows."""
    header = {"table": table, "columns": list(columns), "rows": rows, "bytes": len(data)}
    out.write(json.dumps(header).encode() + b"\n")
    out.write(data)


def write_end(out: BinaryIO, end: Mapping[str, Mapping[str, Any]]) -> None:
    """Close the stream."""
    out.write(json.dumps({"end": end}).encode() + b"\n")
    out.flush()


def read_frames(stream: BinaryIO) -> Iterator[Frame | End]:
    """Every frame, and then the end.

    Raises:
        Refused: The stream ends before its end, is followed by something, or is no such stream.
    """
    while True:
        header = _header(stream)
        if "end" in header:
            break
        try:
            size, rows = int(header["bytes"]), int(header["rows"])
            frame = Frame(str(header["table"]), tuple(header["columns"]), rows, _take(stream, size))
        except (KeyError, TypeError, ValueError):
            raise Refused(f"not a frame of a stream of rows: {header}") from None
        if frame.data.count(b"\n") != rows or (rows and not frame.data.endswith(b"\n")):
            raise Refused(f"a frame of table {frame.table} has not the {rows} rows that it says")
        yield frame
    if stream.read(1):
        raise Refused("something follows the end of the stream of rows")
    yield header["end"]


def _header(stream: BinaryIO) -> dict[str, Any]:
    line = stream.readline(_HEADER_LIMIT)
    if not line.endswith(b"\n"):
        raise Refused("the stream of rows was cut short: it has no end")
    try:
        header = json.loads(line)
    except ValueError:
        header = None
    if not isinstance(header, dict):
        raise Refused("not a stream of rows: a line of it is no JSON object")
    return header


def _take(stream: BinaryIO, size: int) -> bytes:
    if size < 0:
        raise ValueError(size)
    pieces = []
    left = size
    # A size that is not true must not ask for more memory than there are bytes.
    while left:
        piece = stream.read(min(left, _PIECE))
        if not piece:
            raise Refused(f"the stream of rows was cut short: {left} bytes of a frame are missing")
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)
