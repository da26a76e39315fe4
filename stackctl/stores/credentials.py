"""Secrets that something of a stack asks for, and how it comes to ask for others."""

from collections.abc import Sequence

from stackctl.kinds import KeyKind
from stackctl.progress import Progress
from stackctl.stores.reach import Reach


class Credential:
    """Secrets that change together, because one is of no use without the other.

    Attributes:
        names: Of the secrets.
        service: The service of the stack that asks for them; "" where MLflow's servers do.
        from_start: That service reads them when it starts, and never again.
        servers_use_it: MLflow's servers know it, from their start on.
        needs_old: Only with the old values can it be changed.
        servers_stop: MLflow's servers must not run while it is changed.
        foreign: Where stackctl cannot change it: why, and what to do, in two parts.
        only_by_name: Why it is not changed with all others, where it is not.
    """

    names: tuple[str, ...]
    service: str = ""
    from_start: bool = False
    servers_use_it: bool = True
    needs_old: bool = False
    servers_stop: bool = False
    foreign: tuple[str, str] | None = None
    only_by_name: str = ""

    def __str__(self) -> str:
        return " and ".join(self.names)

    def change(
        self, reach: Reach, old: Sequence[str] | None, new: Sequence[str], progress: Progress
    ) -> None:
        """Have the one that asks take `new`, while it runs; nothing where it does already.

        Args:
            reach: How the stack is reached.
            old: What it took until now; None where only `new` can be it.
            new: What it is to take.
            progress: Told what could not be changed.

        Raises:
            MachineError: It takes neither, or cannot be asked.
        """

    def taken(self, reach: Reach, values: Sequence[Sequence[str]]) -> list[bool]:
        """Which of `values` are let in now; [] where nobody can ask."""
        return []


class DatabasePassword(Credential):
    """The password of the user as which MLflow comes to a database."""

    needs_old = True

    def __init__(self, name: str, service: str = "") -> None:
        self.names, self.service = (name,), service

    def change(
        self, reach: Reach, old: Sequence[str] | None, new: Sequence[str], progress: Progress
    ) -> None:
        """As that user itself."""
        reach.ask("password-change", old=list(old or ()), new=new[0])

    def taken(self, reach: Reach, values: Sequence[Sequence[str]]) -> list[bool]:
        """As the database says."""
        return list(reach.ask("password-taken", values=[value for (value,) in values])["taken"])


class ExternalPassword(DatabasePassword):
    """The same of a database that somebody else runs, where others may come as that user."""

    only_by_name = (
        "others may come to the external database as that user; to have it take a new password, "
        "name it"
    )

    def __init__(self) -> None:
        super().__init__("database_password")


class EncryptionKey(Credential):
    """A key with which MLflow encrypts what it keeps in its database.

    A server that runs meanwhile would go on to encrypt with the old one.
    """

    needs_old = True
    servers_stop = True

    def __init__(self, kind: KeyKind, service: str) -> None:
        """Of one kind, in the database that `service` keeps."""
        self.names, self.service, self._kind = (kind.secret,), service, kind

    def change(
        self, reach: Reach, old: Sequence[str] | None, new: Sequence[str], progress: Progress
    ) -> None:
        """All that is there is encrypted anew, in one transaction; what no key opens is named."""
        name = self._kind.name
        known = {name: list(old or ())}
        answer = reach.ask("keys-rewrap", known=known, new={name: new[0]}, void=True)
        if lost := answer["lost"].get(name):
            progress(self._kind.lost(lost))

    def taken(self, reach: Reach, values: Sequence[Sequence[str]]) -> list[bool]:
        """Which of them opens what is there."""
        answer = reach.ask(
            "keys-taken", kind=self._kind.name, values=[value for (value,) in values]
        )
        return list(answer["taken"])
