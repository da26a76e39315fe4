"""What a promotion copies from: a stack, or a store that MLflow alone has made."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Protocol

from stackctl import locations
from stackctl.courier.misfit import Misfit
from stackctl.deployment import Deployment
from stackctl.errors import UserError
from stackctl.kinds import KEYS
from stackctl.operations import accounts, keys
from stackctl.operations.held import held
from stackctl.stack import Home, Stack
from stackctl.stores import foreign, tree
from stackctl.stores.base import Census, Entry, Note
from stackctl.stores.foreign import Foreign


class Origin(Protocol):
    """Is only read.

    Attributes:
        name: For messages.
    """

    name: str

    def is_stack(self, stack: Stack) -> bool:
        """It is that stack."""

    def held(self) -> AbstractContextManager[object]:
        """While it is read, no other stackctl changes it."""

    def look(self) -> Census:
        """What it holds; its revision is "" where its schema can be made the target's."""

    def measure(self, note: Note) -> int:
        """The size of its artifacts in bytes; told is what would not be copied."""

    def unreadable(self) -> Iterable[tuple[Path, str]]:
        """Each file of it that cannot be read, and why."""

    def misfits(self, target: Deployment) -> Iterable[Misfit]:
        """Its texts that the target's database cannot hold."""

    def paths(self) -> Iterator[str]:
        """Of its artifacts, below the artifact root."""

    def rows(self, target: Deployment, *, cut: bool = False) -> AbstractContextManager[BinaryIO]:
        """Its rows as of one moment, with locations as the target needs them.

        Args:
            target: Where they go.
            cut: Texts that are too long for its database are cut.
        """

    def artifacts(self, note: Note) -> Iterator[tuple[Entry, BinaryIO]]:
        """Its artifacts, by their paths below the artifact root."""

    def accounts(self) -> accounts.Accounts | None:
        """Who may log in, and what they may do; None where nobody has to."""

    def known_keys(self) -> keys.Known:
        """Those with which MLflow encrypted what is in it, as far as they are at hand."""

    def closed(self, census: Census) -> list[str]:
        """What in it those may not open, in words."""


def named(
    home: Home,
    stack: str | None,
    folder: Path | None,
    uri: str | None,
    artifacts: Path | None,
    *,
    skip: bool = False,
) -> Origin:
    """What was named, one thing of three; nothing at all is the only stack that there is.

    Args:
        home: Where stacks are.
        stack: The name of one that was deployed.
        folder: A folder of MLflow's own.
        uri: The address of a database of MLflow's own.
        artifacts: The folder of its artifacts, for a store that says another one.
        skip: Read a stack of files without those that cannot be read.

    Raises:
        UserError: More than one was named, or it cannot be read.
    """
    if sum(given is not None for given in (stack, folder, uri)) > 1:
        raise UserError(
            "more than one thing to copy is named", hint="a stack, --from-folder or --from-uri"
        )
    if folder is not None:
        return ForeignOrigin(foreign.open_folder(folder, artifacts))
    if uri is not None:
        return ForeignOrigin(foreign.open_uri(uri, artifacts))
    if artifacts is not None:
        raise UserError(
            "--artifacts is for --from-folder and --from-uri", hint="a stack knows where they are"
        )
    deployment = Deployment.recorded(home.choose(stack))
    if skip and not deployment.scenario.backend_kind.takes_rows:
        return FilesOrigin(deployment)
    return StackOrigin(deployment)


class StackOrigin:
    """A stack that runs: `deployment`."""

    def __init__(self, deployment: Deployment) -> None:
        self.name, self.deployment = f"stack {deployment.stack.name!r}", deployment

    def is_stack(self, stack: Stack) -> bool:
        """One of that home and name."""
        return stack.folder == self.deployment.stack.folder

    def held(self) -> AbstractContextManager[object]:
        """By the stack's lock."""
        return held(self.deployment)

    def look(self) -> Census:
        """As its database counts."""
        return self.deployment.backend.census(self.deployment)

    def measure(self, note: Note) -> int:
        """As its artifact store says."""
        return self.deployment.artifacts.measure(self.deployment)

    def unreadable(self) -> Iterable[tuple[Path, str]]:
        """As its backend store says."""
        return self.deployment.backend.unreadable(self.deployment.data)

    def misfits(self, target: Deployment) -> Iterable[Misfit]:
        """Likewise."""
        deployment = self.deployment
        return deployment.backend.misfits(deployment, target.scenario.backend, self._moves(target))

    def paths(self) -> Iterator[str]:
        """As its artifact store lists them."""
        return map(
            self.deployment.backend.artifact, self.deployment.artifacts.paths(self.deployment)
        )

    def rows(self, target: Deployment, *, cut: bool = False) -> AbstractContextManager[BinaryIO]:
        """By a courier beside its own stores."""
        cut_for = target.scenario.backend if cut else ""
        return self.deployment.backend.rows(self.deployment, self._moves(target), cut_for)

    def _moves(self, target: Deployment) -> list[tuple[str, str]]:
        own = self.deployment
        return locations.moves(own.scenario, own.settings, own.data, target.root)

    def artifacts(self, note: Note) -> Iterator[tuple[Entry, BinaryIO]]:
        """All that its artifact store has below the artifact root."""
        backend = self.deployment.backend
        for section, entry, content in self.deployment.artifacts.dump(self.deployment, note):
            if section != "artifacts":
                note(f"object {entry.path} lies beside the artifacts and was not copied")
                continue
            path = backend.artifact(entry.path)
            yield Entry(path, entry.size, entry.folder, entry.modified), content

    def accounts(self) -> accounts.Accounts | None:
        """Those of its login."""
        return accounts.of(self.deployment)

    def known_keys(self) -> keys.Known:
        """Its own."""
        return keys.together(keys.own(self.deployment))

    def closed(self, census: Census) -> list[str]:
        """Nothing: it runs."""
        return []


class ForeignOrigin:
    """What stackctl did not make."""

    def __init__(self, store: Foreign) -> None:
        self.name, self._store = str(store.path), store

    def is_stack(self, stack: Stack) -> bool:
        """Never: it is no stack."""
        return False

    def held(self) -> AbstractContextManager[object]:
        """Without a lock: what other programs do to it cannot be held up."""
        return nullcontext()

    def look(self) -> Census:
        """A copy of it is taken to the target's schema, whatever its own is."""
        return replace(self._store.census(), revision="")

    def measure(self, note: Note) -> int:
        """As the folders tell."""
        return sum(entry.size or 0 for entry, _ in self._store.artifacts(note))

    def unreadable(self) -> Iterable[tuple[Path, str]]:
        """As the store says."""
        return self._store.unreadable()

    def misfits(self, target: Deployment) -> Iterable[Misfit]:
        """Likewise."""
        return self._store.misfits(target.scenario.backend, target.root)

    def paths(self) -> Iterator[str]:
        """As the folders tell."""
        return (e.path for e, _ in self._store.artifacts(lambda _: None) if not e.folder)

    @contextmanager
    def rows(self, target: Deployment, *, cut: bool = False) -> Iterator[BinaryIO]:
        """By a courier beside the target's stores, to which it is sent."""
        job = {
            "database": self._store.database,
            "scratch": str(target.data) if target.scenario.uses_data_folder else "",
            "relocations": self._store.relocations(target.root),
            "cut_for": target.scenario.backend if cut else "",
        }
        with target.courier("foreign-rows-out", **job) as pipe:
            tree.pack(self._store.packed(target.stack.folder), pipe.stdin)
            pipe.stdin.close()
            yield pipe.stdout

    def artifacts(self, note: Note) -> Iterator[tuple[Entry, BinaryIO]]:
        """Those that are on this machine."""
        yield from tree.opened(self._store.artifacts(note))

    def accounts(self) -> accounts.Accounts | None:
        """None that are known of: its login may be anywhere."""
        return None

    def known_keys(self) -> keys.Known:
        """Those that this process was told, as its server was."""
        return keys.together(keys.of_environment())

    def closed(self, census: Census) -> list[str]:
        """What is encrypted with a key that nobody told; MLflow's default passphrase is known."""
        told = self.known_keys()
        return [
            f"{kind.count(rows)} ({kind.variable})"
            for kind in KEYS
            if (rows := census.encrypted.get(kind.name)) and not told[kind.name]
        ]


class FilesOrigin(ForeignOrigin):
    """A stack of files, which are read as anybody else's: without those that cannot be read."""

    def __init__(self, deployment: Deployment) -> None:
        super().__init__(foreign.Folder(deployment.data / "mlruns"))
        self.name, self._deployment = f"stack {deployment.stack.name!r}", deployment

    def accounts(self) -> accounts.Accounts | None:
        """Those of its login."""
        return accounts.of(self._deployment)

    def is_stack(self, stack: Stack) -> bool:
        """One of that home and name."""
        return stack.folder == self._deployment.stack.folder

    def held(self) -> AbstractContextManager[object]:
        """By the stack's lock."""
        return held(self._deployment)
