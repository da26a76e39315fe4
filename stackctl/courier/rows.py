"""Rows of a store as a stream, from any database that MLflow can use to any other.

    python -m stackctl.courier.rows write|read|digest

The database is in the environment variable MLFLOW_BACKEND_STORE_URI. The first line of standard
input is a JSON object: `relocations` is a list of pairs of an old and a new prefix of artifact
locations, `part` is `tracking` (the default) or `login` (see `tables.Part`). `write` gives the
stream of frames (see `frames`), `read` takes it after that line; `read` and `digest` answer in
JSON.

Both stores must have the same revision of the schema, which is for the caller to see to. A float
of minus zero is taken for zero, as SQLite does.
"""

import json
import os
import sys
from contextlib import suppress
from typing import Any, BinaryIO

from stackctl.courier import fitting
from stackctl.courier.copytext import NULL, Fields, Kind, escape, unescape
from stackctl.courier.digests import Digest, canonical, joined
from stackctl.courier.errors import CourierError, Misfit, Refused
from stackctl.courier.frames import End, Frame, read_frames, write_end, write_frame
from stackctl.courier.loading import Target
from stackctl.courier.parts import Part
from stackctl.courier.relocation import Relocations, relocate, relocator
from stackctl.courier.sources import Source, open_source
from stackctl.courier.tables import Table
from stackctl.courier.targets import open_target


def write_rows(
    uri: str,
    out: BinaryIO,
    relocations: Relocations = (),
    part: Part = Part.TRACKING,
    cut_for: str = "",
) -> End:
    """Write every row of a store into `out`, in one snapshot; the store is only read.

    Memory is bounded by some MB and some times the heaviest row. Of a SQLite database that others
    write to, give a copy by the online backup: while it is read, they wait.

    Args:
        uri: The database.
        out: Where the stream goes.
        relocations: Pairs of an old and a new prefix of artifact locations.
        part: Which of the tables.
        cut_for: A database, as `stackctl.courier.fitting` calls it; texts that are too long for it
            are cut, where they may be.

    Returns:
        By table: how many rows were written, and their digest.

    Raises:
        DatabaseFailed: The database does not answer, or fails.
        Refused: It holds a value that is not of its column's type.
    """
    with open_source(uri, part) as source:
        end = _pass_through(source, relocations, out, cut_for)
    write_end(out, end)
    return end


def digest(uri: str, relocations: Relocations = (), part: Part = Part.TRACKING) -> End:
    """By table: how many rows it has, and a digest that does not depend on their order.

    Equal for equal rows on SQLite, PostgreSQL and MySQL, and equal to the end of the stream that
    `write_rows` makes with the same relocations. Raises what that raises.
    """
    with open_source(uri, part) as source:
        return _pass_through(source, relocations, None)


def read_rows(uri: str, stream: BinaryIO, part: Part = Part.TRACKING) -> dict[str, Any]:
    """Replace every row of a store by those of a stream, in one transaction.

    Returns:
        `loaded`: by table, how many rows were loaded; `sent`: the end of the stream, whose digests
        are those that `digest` has to find here now.

    Raises:
        DatabaseFailed: The database does not answer, or fails. Nothing was changed.
        Refused: The stream was cut, its tables or columns are not those of this store, or a value
            does not fit; table and column are named. Nothing was changed.
    """
    with open_target(uri, part) as target:
        target.clear()
        loaded: dict[str, int] = {}
        end: End = {}
        for frame in read_frames(stream):
            if isinstance(frame, dict):
                end = frame
                continue
            _compare_columns(target, frame)
            target.load(frame)
            loaded[frame.table] = loaded.get(frame.table, 0) + frame.rows
        if missing := sorted(set(target.tables) - set(loaded)):
            raise Refused(f"the stream has nothing of this store's table {', '.join(missing)}")
        for table, rows in loaded.items():
            if (sent := end.get(table, {}).get("rows")) != rows:
                raise Refused(f"table {table}: {sent} rows were sent, {rows} came")
        target.number()
    return {"loaded": loaded, "sent": end}


def _pass_through(
    source: Source, relocations: Relocations, out: BinaryIO | None, cut_for: str = ""
) -> End:
    relocate_one = relocator(relocations) if relocations else None
    end: End = {}
    for table in source.tables:
        found = Digest()

        def take(batch: list[Fields], table: Table = table, found: Digest = found) -> None:
            columns: dict[str, Fields] = dict(zip(table.names, batch, strict=True))
            if relocate_one:
                relocate(relocate_one, table.name, columns)
            if cut_for:
                _cut(cut_for, table, columns)
            try:
                data = joined(list(columns.values()))
            except UnicodeEncodeError:
                raise Refused(f"table {table.name}: a text is no Unicode") from None
            rows = found.rows
            found.add(_comparable(table, columns) or data)
            if out:
                write_frame(out, table.name, table.names, found.rows - rows, data)

        source.read(table, take)
        if out and not found.rows:
            write_frame(out, table.name, table.names, 0, b"")
        end[table.name] = found.told()
    return end


def _cut(database: str, table: Table, columns: dict[str, Fields]) -> None:
    for column in table.columns:
        if column.kind is Kind.TEXT and fitting.may_cut(table.name, column.name):
            columns[column.name] = [
                field
                if field == NULL
                else escape(fitting.cut(database, table.name, column.name, unescape(field)))
                for field in columns[column.name]
            ]


def _comparable(table: Table, columns: dict[str, Fields]) -> bytes | None:
    """The rows as they are compared, where that is not how they are sent."""
    documents = [column.name for column in table.columns if column.kind is Kind.JSON]
    if not documents:
        return None
    compared = dict(columns)
    for name in documents:
        try:
            compared[name] = canonical(columns[name])
        except Misfit as error:
            raise Refused(f"{table.name}.{name}: {error}") from None
    return joined(list(compared.values()))


def _compare_columns(target: Target, frame: Frame) -> None:
    table = target.tables.get(frame.table)
    if table is None:
        raise Refused(f"this store has no table {frame.table}")
    if differing := sorted(set(frame.columns) ^ set(table.names)):
        side = "the stream" if differing[0] in frame.columns else "this store"
        raise Refused(f"{frame.table}.{differing[0]}: only {side} has this column")
    if len(set(frame.columns)) != len(frame.columns):
        raise Refused(f"table {frame.table}: a column comes twice in the stream")


def main() -> None:
    """Do what the one argument says; a failure is one line on standard error."""
    verb = sys.argv[1]
    try:
        job = json.loads(sys.stdin.buffer.readline())
        relocations, part = job.get("relocations", ()), Part(job.get("part", Part.TRACKING))
        uri = os.environ["MLFLOW_BACKEND_STORE_URI"]
        if verb == "write":
            write_rows(uri, sys.stdout.buffer, relocations, part)
        elif verb == "read":
            print(json.dumps(read_rows(uri, sys.stdin.buffer, part)))
        else:
            print(json.dumps(digest(uri, relocations, part)))
    except BrokenPipeError:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print("whoever took the stream of rows has ended", file=sys.stderr)
        sys.exit(3)
    except CourierError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
