"""What opens a door of a stack, and how the one behind it comes to take another."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stackctl.operations.site import Site


class Credential:
    """Secrets that change together, because one is of no use without the other.

    Attributes:
        names: Of the secrets.
        service: The service of the stack that asks for them; "" where MLflow's servers do.
        from_start: That service reads them when it starts, and never again.
        servers_use_it: MLflow's servers know it, from their start on.
        needs_old: Only with the old values can it be changed.
        foreign: Where stackctl cannot change it: why, and what to do, in two parts.
    """

    names: tuple[str, ...]
    service: str = ""
    from_start: bool = False
    servers_use_it: bool = True
    needs_old: bool = False
    foreign: tuple[str, str] | None = None

    def __str__(self) -> str:
        return " and ".join(self.names)

    def change(self, site: "Site", old: Sequence[str] | None, new: Sequence[str]) -> None:
        """Have the one that asks take `new`, while it runs; nothing where it does already.

        Args:
            site: Whose.
            old: What it took until now; None where only `new` can be it.
            new: What it is to take.

        Raises:
            MachineError: It takes neither, or cannot be asked.
        """

    def taken(self, site: "Site", values: Sequence[Sequence[str]]) -> list[bool]:
        """Which of `values` are let in now; [] where nobody can ask."""
        return []


class DatabasePassword(Credential):
    """The password of the user as which MLflow comes to a database."""

    needs_old = True

    def __init__(self, service: str) -> None:
        self.names, self.service = (f"{service}_password",), service

    def change(self, site: "Site", old: Sequence[str] | None, new: Sequence[str]) -> None:
        """As that user itself."""
        site.ask("password-change", old=list(old or ()), new=new[0])

    def taken(self, site: "Site", values: Sequence[Sequence[str]]) -> list[bool]:
        """As the database says."""
        return list(site.ask("password-taken", values=[value for (value,) in values])["taken"])
