"""PostgreSQL: a service of the stack, or one that somebody else runs."""

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from stackctl.settings import Settings
from stackctl.stores import pgdump, rowstream
from stackctl.stores.base import Entry, Note, Ranges
from stackctl.stores.credentials import Credential
from stackctl.stores.database import Database, another, copy
from stackctl.stores.reach import Reach
from stackctl.stores.tally import Tally

# What pg_dump writes beside a server of the stack's own, and what any server gives and takes.
_DUMP, _ROWS = "postgres.dump", "postgres.rows"


class PostgreSQL(Database):
    """Runs as rows in PostgreSQL."""

    kind = "postgres"

    def lacks(self, dumped: Iterable[str]) -> set[str]:
        """It is there in one of two forms."""
        return set() if {_DUMP, _ROWS} & set(dumped) else {_DUMP}

    def flaw(self, entry: Entry, content: BinaryIO, counts: Ranges) -> str:
        """It is neither what pg_dump writes in its own format, to its end, nor rows."""
        if entry.path == _ROWS or rowstream.is_login(entry.path):
            try:
                return rowstream.flaw(entry, content, counts)
            except ValueError:
                return self.another
        if entry.path != _DUMP or content.read(len(pgdump.MAGIC)) != pgdump.MAGIC:
            return self.another
        with Tally() as tally:
            try:
                return tally.differs(counts) if pgdump.read(content, tally.take) else ""
            except ValueError as error:
                return str(error)

    def dump(self, reach: Reach, note: Note) -> Iterator[tuple[Entry, BinaryIO]]:
        """One snapshot: what pg_dump writes, or of a server of whatever version the rows."""
        if self.is_elsewhere(reach.settings):
            self.note_left_alone(reach, note)
            yield from rowstream.dump(reach, _ROWS)
            return
        with reach.within("postgres", "postgres-dump.sh") as pipe:
            yield Entry(_DUMP, None), pipe.stdout

    def load(self, reach: Reach, entries: Iterable[tuple[Entry, BinaryIO]], revision: str) -> None:
        """Replace the database: in one transaction by pg_restore, else table by table."""
        loaded = 0
        for entry, content in entries:
            is_dump = entry.path == _DUMP
            if not (is_dump or entry.path == _ROWS or rowstream.is_login(entry.path)):
                raise another(entry.path)
            if is_dump and not self.is_elsewhere(reach.settings):
                with reach.within("postgres", "postgres-load.sh") as pipe:
                    copy(content, pipe.stdin)
            else:
                if not loaded:
                    reach.ask("make-schema", revision=revision)
                if is_dump:
                    rowstream.load_dump(reach, content)
                else:
                    rowstream.load(reach, entry, content)
            loaded += 1
        if not loaded:
            raise another("nothing")

    def credentials(self, settings: Settings) -> list[Credential]:
        """The password as which MLflow comes, and what every database has."""
        return [self.password(settings), *super().credentials(settings)]
