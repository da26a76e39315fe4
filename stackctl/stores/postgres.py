"""PostgreSQL as a service of the stack."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from stackctl.stores.base import Entry, Note
from stackctl.stores.credentials import Credential, DatabasePassword
from stackctl.stores.database import Database, copy, single

if TYPE_CHECKING:
    from stackctl.operations.site import Site

_NAME = "postgres.dump"


class PostgreSQL(Database):
    """Runs as rows in PostgreSQL."""

    kind = "postgres"
    label = "PostgreSQL"
    service = "postgres"

    def dump(self, site: "Site", note: Note) -> Iterator[tuple[Entry, BinaryIO]]:
        """What pg_dump writes in its own format, of one snapshot."""
        with site.within("postgres", "postgres-dump.sh") as pipe:
            yield Entry(_NAME, None), pipe.stdout

    def load(self, site: "Site", entries: Iterable[tuple[Entry, BinaryIO]], revision: str) -> None:
        """Replace the database in one transaction."""
        with site.within("postgres", "postgres-load.sh") as pipe:
            copy(single(entries, _NAME), pipe.stdin)

    def credentials(self) -> list[Credential]:
        """The password of role `mlflow`."""
        return [DatabasePassword("postgres")]
