"""What a promotion copies from: a stack, or a store that MLflow alone has made."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Protocol

from stackctl import locations
from stackctl.deployment import Deployment
from stackctl.errors import UserError
from stackctl.kinds import KEYS
from stackctl.operations import keys
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
        """What it holds; its revision is "" where its schema can be made the target's.

        Raises:
            UserError: It is not in a state in which it can be read.
        """

    def measure(self, note: Note) -> int:
        """The size of its artifacts in bytes; told is what would not be copied."""

    def rows(self, target: Deployment) -> AbstractContextManager[BinaryIO]:
        """Its rows as of one moment, with locations as the target needs them."""

    def artifacts(self, note: Note) -> Iterator[tuple[Entry, BinaryIO]]:
        """Its artifacts, by their paths below the artifact root."""

    def known_keys(self) -> keys.Known:
        """Those with which MLflow encrypted what is in it, as far as they are at hand."""

    def closed(self, census: Census) -> list[str]:
        """What in it those may not open, in words."""


def named(
    home: Home, stack: str | None, folder: Path | None, uri: str | None, artifacts: Path | None
) -> Origin:
    """What was named, one thing of three; nothing at all is the only stack that there is.

    Args:
        home: Where stacks are.
        stack: The name of one that was deployed.
        folder: A folder of MLflow's own.
        uri: The address of a database of MLflow's own.
        artifacts: The folder of its artifacts, for a store that says another one.

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
    return StackOrigin(Deployment.recorded(home.choose(stack)))


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
        self.deployment.backend.refuse_unreadable(self.deployment.data)
        return self.deployment.backend.census(self.deployment)

    def measure(self, note: Note) -> int:
        """As its artifact store says."""
        return self.deployment.artifacts.measure(self.deployment)

    def rows(self, target: Deployment) -> AbstractContextManager[BinaryIO]:
        """By a courier beside its own stores."""
        deployment = self.deployment
        moved = locations.moves(
            deployment.scenario, deployment.settings, deployment.data, target.root
        )
        return deployment.backend.rows(deployment, moved)

    def artifacts(self, note: Note) -> Iterator[tuple[Entry, BinaryIO]]:
        """All that its artifact store has below the artifact root."""
        backend = self.deployment.backend
        for section, entry, content in self.deployment.artifacts.dump(self.deployment, note):
            if section != "artifacts":
                note(f"object {entry.path} lies beside the artifacts and was not copied")
                continue
            path = backend.artifact(entry.path)
            yield Entry(path, entry.size, entry.folder, entry.modified), content

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
        self._store.refuse_unreadable()
        census = self._store.census()
        return replace(census, revision="")

    def measure(self, note: Note) -> int:
        """As the folders tell."""
        return sum(entry.size or 0 for entry, _ in self._store.artifacts(note))

    @contextmanager
    def rows(self, target: Deployment) -> Iterator[BinaryIO]:
        """By a courier beside the target's stores, to which it is sent."""
        job = {
            "database": self._store.database,
            "scratch": str(target.data) if target.scenario.uses_data_folder else "",
            "relocations": [pair for place in self._store.located if place.folder is not None
                            for pair in place.relocations(target.root)],
        }  # fmt: skip
        with target.courier("foreign-rows-out", **job) as pipe:
            tree.pack(self._store.packed(target.stack.folder), pipe.stdin)
            pipe.stdin.close()
            yield pipe.stdout

    def artifacts(self, note: Note) -> Iterator[tuple[Entry, BinaryIO]]:
        """Those that are on this machine."""
        yield from tree.opened(self._store.artifacts(note))

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
