"""What every database has in common."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, BinaryIO

from stackctl.courier.misfit import Misfit
from stackctl.errors import MachineError
from stackctl.kinds import BACKENDS
from stackctl.settings import Settings
from stackctl.stores.base import BackendStore, Census, Note
from stackctl.stores.credentials import (
    Credential,
    DatabasePassword,
    EncryptionKey,
    ExternalPassword,
)
from stackctl.stores.reach import Reach

_CHUNK = 1 << 20


class Database(BackendStore):
    """A backend store with a schema, which a courier can reach."""

    @property
    def another(self) -> str:
        """That something is no part of its dump, in words."""
        return f"is nothing of a {self.kind} database"

    def census(self, reach: Reach) -> Census:
        """As the database itself counts."""
        found = reach.ask("counts")
        return Census(found["counts"], found["revision"], found["bytes"], found["encrypted"])

    def misfits(
        self, reach: Reach, database: str, relocations: Sequence[tuple[str, str]]
    ) -> Iterable[Misfit]:
        """As a courier finds them."""
        found = reach.ask("misfits", database=database, relocations=relocations)
        return [Misfit(*one) for one in found["misfits"]]

    @contextmanager
    def rows(
        self, reach: Reach, relocations: Sequence[tuple[str, str]], cut_for: str = ""
    ) -> Iterator[BinaryIO]:
        """As the database gives them in one snapshot."""
        with reach.courier("rows-out", relocations=relocations, cut_for=cut_for) as pipe:
            yield pipe.stdout

    def is_elsewhere(self, settings: Settings) -> bool:
        """Somebody else runs it, and may have more in it."""
        return BACKENDS[self.kind].service in settings.elsewhere

    def note_left_alone(self, reach: Reach, note: Note) -> None:
        """Tables beside MLflow's that no dump takes along; of one of its own it takes all."""
        if self.is_elsewhere(reach.settings) and (found := reach.ask("left-alone")["tables"]):
            note(f"{', '.join(found)}: tables of the database that MLflow did not make")

    def password(self, settings: Settings) -> Credential:
        """That of the user as which MLflow comes."""
        service = BACKENDS[self.kind].service
        if self.is_elsewhere(settings):
            return ExternalPassword()
        return DatabasePassword(f"{service}_password", service)

    def credentials(self, settings: Settings) -> list[Credential]:
        """The keys with which MLflow encrypts what it keeps in it."""
        kind = BACKENDS[self.kind]
        service = "" if self.is_elsewhere(settings) else kind.service
        return [EncryptionKey(key, service) for key in kind.keys]

    def elsewhere(self, reach: Reach, own: Sequence[str]) -> list[dict[str, Any]]:
        """As its rows say."""
        return list(reach.ask("elsewhere", roots=list(own))["places"])

    def settle(self, reach: Reach, relocations: Sequence[tuple[str, str]]) -> None:
        """In the database itself, by MLflow's own migrations."""
        reach.ask("settle", relocations=relocations)


def another(name: str) -> MachineError:
    """That an archive holds what is not this database's."""
    return MachineError(
        f"the archive has {name!r} as its database", hint="was it made by another stackctl?"
    )


def copy(source: BinaryIO, target: BinaryIO) -> None:
    """Every byte."""
    while chunk := source.read(_CHUNK):
        target.write(chunk)
