"""What tests see of a stack, and do to it, from outside: each runtime implements it once."""

import shutil
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from contextlib import closing
from pathlib import Path
from typing import ClassVar

from stackctl import scenarios
from stackctl.stack import Stack
from tests.contract.driving import Deployed, User

MARK = "t"  # stacks of tests are called t<pid>-<random>

Life = tuple[Hashable, ...]


class Machine(ABC):
    """A machine on which one runtime runs stacks.

    Attributes:
        checks: How often a deploy checks a stack by use: for clients, and once more where services
            reach each other on another way.
    """

    checks: ClassVar[int]

    @property
    @abstractmethod
    def variables(self) -> dict[str, str]:
        """What in a user's environment leads to this machine and its runtime."""

    def equipment(self, scenario: str) -> Mapping[str, str]:
        """More of a user's environment, where a scenario needs programs of the machine."""
        return {}

    @abstractmethod
    def lives(self, stack: Stack) -> dict[str, Life]:
        """Of each service, what is the same only where it was neither made nor started anew."""

    @abstractmethod
    def running(self, stack: Stack) -> list[str]:
        """What of the stack is there when it is not removed, but for its data."""

    @abstractmethod
    def kept(self, stack: Stack) -> list[str]:
        """Data of the stack, but for what is in its folder of the user's home."""

    @abstractmethod
    def volumes(self, stack: Stack) -> list[Path]:
        """Folders in which services keep data that no client of theirs writes itself."""

    @abstractmethod
    def listeners(self, stack: Stack) -> set[str]:
        """The addresses at which anybody reaches the stack."""

    @abstractmethod
    def liberties(self, stack: Stack) -> list[str]:
        """What its services may do that none of them needs."""

    @abstractmethod
    def told(self, stack: Stack) -> Mapping[str, str]:
        """What the machine tells of the stack to whoever asks, by place."""

    @abstractmethod
    def initialising(self, stack: Stack, service: str) -> bool:
        """A database makes its data at this moment, for the first time."""

    @abstractmethod
    def kill(self, stack: Stack, service: str) -> None:
        """End a service's main process as a crash does."""

    @abstractmethod
    def shut_down(self, stack: Stack) -> None:
        """End every service as a machine that is shut down does; each must end well."""

    @abstractmethod
    def boot(self, deployed: Deployed) -> None:
        """Have everything run again after `shut_down`."""

    @abstractmethod
    def purge(self, stack: Stack) -> None:
        """Take everything of the stack away, in whatever state it is and without stackctl."""

    @abstractmethod
    def reap(self) -> None:
        """Take away what test sessions left that were killed."""

    def sql(self, stack: Stack, statement: str) -> list[list[str]]:
        """What a statement gives to somebody who knows the database's password, as text."""
        manifest = stack.require_manifest()
        backend = scenarios.load(manifest.scenario).backend
        if backend != "sqlite":
            return self.ask_service(stack, backend, statement)
        folder = stack.data(str(manifest.settings["data"]))
        with closing(sqlite3.connect(folder / "mlruns.db")) as db, db:
            return [[str(value) for value in row] for row in db.execute(statement)]

    @abstractmethod
    def ask_service(self, stack: Stack, service: str, statement: str) -> list[list[str]]:
        """The same of a database that a service keeps."""

    def leftovers(self, stack: Stack) -> list[str]:
        """Everything of the stack that is there."""
        home = stack.home.path
        folders = [stack.folder, stack.secrets.path, home / "data" / stack.name]
        files = [str(folder) for folder in folders if folder.exists()]
        return [*self.running(stack), *self.kept(stack), *files]

    def user(self, home: Path) -> User:
        """Somebody with an empty home."""
        home.mkdir()
        return User(home, self.variables)

    def clean_up(self, user: User) -> None:
        """Take a user's stacks and home away."""
        folder = user.home / ".stackctl"
        for name in [entry.name for entry in folder.iterdir()] if folder.is_dir() else []:
            user.run("remove", name, "--volumes", "--confirm", name)
            self.purge(user.stack(name))
        shutil.rmtree(user.home, ignore_errors=True)
