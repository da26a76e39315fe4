"""PostgreSQL as a service of the stack."""

from collections.abc import Iterable, Iterator
from typing import BinaryIO

from stackctl.stores import pgdump
from stackctl.stores.base import Entry, Note, Ranges
from stackctl.stores.credentials import Credential, DatabasePassword
from stackctl.stores.database import Database, copy, single
from stackctl.stores.reach import Reach
from stackctl.stores.tally import Tally

_NAME = "postgres.dump"


class PostgreSQL(Database):
    """Runs as rows in PostgreSQL."""

    kind = "postgres"
    dumped = (_NAME,)

    def flaw(self, entry: Entry, content: BinaryIO, counts: Ranges) -> str:
        """It is not what pg_dump writes in its own format, to its end, or holds something else."""
        if entry.path != _NAME or content.read(len(pgdump.MAGIC)) != pgdump.MAGIC:
            return self.another
        with Tally() as tally:
            try:
                return tally.differs(counts) if pgdump.read(content, tally.take) else ""
            except ValueError as error:
                return str(error)

    def dump(self, reach: Reach, note: Note) -> Iterator[tuple[Entry, BinaryIO]]:
        """What pg_dump writes in its own format, of one snapshot."""
        with reach.within("postgres", "postgres-dump.sh") as pipe:
            yield Entry(_NAME, None), pipe.stdout

    def load(self, reach: Reach, entries: Iterable[tuple[Entry, BinaryIO]], revision: str) -> None:
        """Replace the database in one transaction."""
        with reach.within("postgres", "postgres-load.sh") as pipe:
            copy(single(entries, _NAME), pipe.stdin)

    def credentials(self) -> list[Credential]:
        """The password of role `mlflow`, and what every database has."""
        return [DatabasePassword("postgres"), *super().credentials()]
