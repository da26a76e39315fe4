"""Dumps of rows in a form of their own, which every database of MLflow gives and takes.

Two parts, in the order in which they are loaded: the runs under a name of the store's own, and the
login's tables with the version of their schema, which is another.
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, cast

from stackctl.courier.errors import Refused
from stackctl.courier.frames import Frame, read_frames, write_end, write_frame
from stackctl.errors import MachineError
from stackctl.stores import pgdump
from stackctl.stores.base import Entry, Ranges
from stackctl.stores.database import copy
from stackctl.stores.reach import Reach
from stackctl.stores.tally import Tally

# Followed by the version of the login's own schema.
_LOGIN = "login.rows."
_LOGIN_VERSION = "alembic_version_auth"
_BATCH_ROWS, _BATCH_BYTES = 10_000, 1 << 20


def is_login(name: str) -> bool:
    """An entry holds the login's tables."""
    return name.startswith(_LOGIN)


def flaw(entry: Entry, content: BinaryIO, counts: Ranges) -> str:
    """What is wrong with rows, in words; "" where they are whole, and as many as there should be.

    Raises:
        ValueError: They are no rows.
    """
    try:
        with Tally() as tally:
            for frame in read_frames(content):
                if isinstance(frame, Frame):
                    tally.take(frame.table, frame.columns, frame.data.split(b"\n")[:-1])
            return "" if is_login(entry.path) else tally.differs(counts)
    except Refused as error:
        return f"cannot be read: {error}"


def dump(reach: Reach, name: str) -> Iterator[tuple[Entry, BinaryIO]]:
    """Every row, of one snapshot; those of the login are another one's.

    Args:
        reach: How the database is reached.
        name: Of the entry with the runs.
    """
    with reach.courier("rows-out") as pipe:
        yield Entry(name, None), pipe.stdout
    if reach.settings.auth == "basic":
        revision = reach.ask("login-revision")["revision"]
        with reach.courier("rows-out", part="login") as pipe:
            yield Entry(f"{_LOGIN}{revision}", None), pipe.stdout


def load(reach: Reach, entry: Entry, content: BinaryIO) -> None:
    """Fill the tables of one part, in one transaction; those of the login are made first."""
    if is_login(entry.path):
        reach.ask("make-login", revision=entry.path.removeprefix(_LOGIN))
    with reach.courier("rows-in", part="login" if is_login(entry.path) else "tracking") as pipe:
        copy(content, pipe.stdin)
        pipe.stdin.close()
        pipe.stdout.read()


def load_dump(reach: Reach, content: BinaryIO) -> None:
    """Fill the tables with the rows of what pg_dump wrote, whatever version the database is of.

    Raises:
        MachineError: It is one that is not known, or there is no room for its rows beside it.
    """
    with tempfile.TemporaryFile() as file:
        spool = cast(BinaryIO, file)
        tables: dict[str, _Spooled] = {}
        login: list[str] = []

        def take(table: str, columns: Sequence[str], rows: Iterable[bytes]) -> None:
            if table == _LOGIN_VERSION:
                login.extend(row.decode() for row in rows)
                return
            begin = spool.tell()
            sent = _send(spool, table, columns, rows)
            tables[table] = _Spooled(sent, begin, spool.tell())

        content.read(len(pgdump.MAGIC))
        try:
            known = pgdump.read(content, take)
        except OSError as error:
            raise MachineError(
                f"the rows of the dump do not fit into {tempfile.gettempdir()}: {error.strerror}",
                hint="make room there, or set TMPDIR to another folder",
            ) from error
        if not known:
            raise MachineError(
                "the rows of this dump cannot be read: it is of another pg_dump, or compressed in "
                "another way",
                hint="restore it with --set database=own, which runs pg_restore; then stackctl "
                "promote that stack",
            )
        _fill(reach, "tracking", spool, tables)
        for revision in login:
            reach.ask("make-login", revision=revision)
            _fill(reach, "login", spool, tables)


@dataclass(frozen=True)
class _Spooled:
    """The frames of a table: how many rows they have, and where they are."""

    rows: int
    begin: int
    end: int


def _fill(reach: Reach, part: str, spool: BinaryIO, tables: Mapping[str, _Spooled]) -> None:
    """Send the frames of a part's tables, those that others refer to first."""
    names = [name for name in reach.ask("order", part=part)["tables"] if name in tables]
    with reach.courier("rows-in", part=part) as pipe:
        for name in names:
            spool.seek(tables[name].begin)
            left = tables[name].end - tables[name].begin
            while left:
                left -= pipe.stdin.write(spool.read(min(left, _BATCH_BYTES)))
        write_end(pipe.stdin, {name: {"rows": tables[name].rows} for name in names})
        pipe.stdin.close()
        pipe.stdout.read()


def _send(out: BinaryIO, table: str, columns: Sequence[str], rows: Iterable[bytes]) -> int:
    """In batches, of which there is one at least; returns how many rows there were."""
    batch: list[bytes] = []
    heavy = sent = 0

    def flush() -> int:
        write_frame(out, table, columns, len(batch), b"".join(row + b"\n" for row in batch))
        return len(batch)

    for row in rows:
        if batch and (len(batch) == _BATCH_ROWS or heavy + len(row) > _BATCH_BYTES):
            sent += flush()
            batch, heavy = [], 0
        batch.append(row)
        heavy += len(row)
    return sent + flush() if batch or not sent else sent
