"""MySQL as a service of the stack."""

import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from stackctl.errors import MachineError
from stackctl.progress import Progress
from stackctl.settings import Settings
from stackctl.stores import rowstream
from stackctl.stores.base import Entry, Note, Ranges
from stackctl.stores.credentials import Credential
from stackctl.stores.database import Database, another
from stackctl.stores.reach import Reach

_NAME = "mysql.rows"
# How each table was made: MLflow makes its own again, somebody else's are made by this.
_TABLES = "mysql.tables"


class MySQL(Database):
    """Runs as rows in MySQL.

    A dump holds rows in a form of its own, read in one transaction: what mysqldump writes is of no
    use to MariaDB, which the embedded runtime often has, and neither may have the program.
    """

    kind = "mysql"
    dumped = (_TABLES, _NAME)

    def flaw(self, entry: Entry, content: BinaryIO, counts: Ranges) -> str:
        """It is neither rows to their end, nor how tables were made."""
        if entry.path not in self.dumped and not rowstream.is_login(entry.path):
            return self.another
        try:
            if entry.path == _TABLES:
                made = json.load(content)
                return "" if isinstance(made, dict) and "tables" in made else self.another
            return rowstream.flaw(entry, content, counts)
        except ValueError:
            return self.another

    def dump(self, reach: Reach, note: Note) -> Iterator[tuple[Entry, BinaryIO]]:
        """Every row, of one snapshot; those of the login are another one's."""
        self.note_left_alone(reach, note)
        tables = json.dumps(reach.ask("definitions")).encode()
        yield Entry(_TABLES, len(tables)), io.BytesIO(tables)
        yield from rowstream.dump(reach, _NAME)

    def load(self, reach: Reach, entries: Iterable[tuple[Entry, BinaryIO]], revision: str) -> None:
        """Make the schema of that version anew, and fill it in one transaction."""
        reach.ask("make-schema", revision=revision)
        for entry, content in entries:
            if entry.path == _TABLES:
                reach.ask("define", **json.load(content))
            elif entry.path == _NAME or rowstream.is_login(entry.path):
                rowstream.load(reach, entry, content)
            else:
                raise another(entry.path)

    def credentials(self, settings: Settings) -> list[Credential]:
        """The passwords of users `mlflow` and `root`, and what every database has."""
        root = [] if self.is_elsewhere(settings) else [RootPassword()]
        return [self.password(settings), *root, *super().credentials(settings)]


class RootPassword(Credential):
    """The password of MySQL's root, who comes by the server's own socket alone."""

    names = ("mysql_root_password",)
    service = "mysql"
    servers_use_it = False
    needs_old = True

    def change(
        self, reach: Reach, old: Sequence[str] | None, new: Sequence[str], progress: Progress
    ) -> None:
        """As root."""
        if self._opens(reach, new[0]) or (old and self._opens(reach, old[0], new[0])):
            return
        raise MachineError(
            "MySQL takes none of root's passwords that stackctl knows",
            hint=f"put the one that it takes into {reach.secrets.path / self.names[0]}",
        )

    def taken(self, reach: Reach, values: Sequence[Sequence[str]]) -> list[bool]:
        """As MySQL says."""
        return [self._opens(reach, value) for (value,) in values]

    def _opens(self, reach: Reach, password: str, new: str = "") -> bool:
        """It is root's password, who then has `new`, where there is one."""
        with reach.within("mysql", "mysql-root.sh") as pipe:
            pipe.stdin.write(f"{password}\n{new}\n".encode())
            pipe.stdin.flush()
            return pipe.stdout.read().strip() == b"yes"
