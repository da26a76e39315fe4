"""MySQL as a service of the stack."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from stackctl.stores.base import Entry, Note
from stackctl.stores.database import Database, another, copy

if TYPE_CHECKING:
    from stackctl.operations.site import Site

_NAME = "mysql.rows"
# Followed by the version of the login's own schema.
_LOGIN = "login.rows."


class MySQL(Database):
    """Runs as rows in MySQL.

    A dump holds rows in a form of its own, read in one transaction: what mysqldump writes is of no
    use to MariaDB, which the embedded runtime often has, and neither may have the program.
    """

    kind = "mysql"
    label = "MySQL"

    def dump(self, site: "Site", note: Note) -> Iterator[tuple[Entry, BinaryIO]]:
        """Every row, of one snapshot; those of the login are another one's."""
        with site.courier("rows-out") as pipe:
            yield Entry(_NAME, None), pipe.stdout
        if site.settings.auth == "basic":
            revision = site.ask("login-revision")["revision"]
            with site.courier("rows-out", part="login") as pipe:
                yield Entry(f"{_LOGIN}{revision}", None), pipe.stdout

    def load(self, site: "Site", entries: Iterable[tuple[Entry, BinaryIO]], revision: str) -> None:
        """Make the schema of that version anew, and fill it in one transaction."""
        site.ask("make-schema", revision=revision)
        for entry, content in entries:
            login = entry.path.startswith(_LOGIN)
            if login:
                site.ask("make-login", revision=entry.path.removeprefix(_LOGIN))
            elif entry.path != _NAME:
                raise another(entry.path)
            with site.courier("rows-in", part="login" if login else "tracking") as pipe:
                copy(content, pipe.stdin)
                pipe.stdin.close()
                pipe.stdout.read()
