"""What a promotion copies from: a stack, or a store that MLflow alone has made."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import BinaryIO, Protocol

from stackctl import locations
from stackctl.operations.site import Site, require_whole
from stackctl.stores import tree
from stackctl.stores.base import Census, Entry, Note
from stackctl.stores.foreign import Foreign


class Origin(Protocol):
    """Is only read.

    Attributes:
        name: For messages.
    """

    name: str

    def held(self) -> AbstractContextManager[object]:
        """While it is read, no other stackctl changes it."""

    def look(self) -> Census:
        """What it holds; its revision is "" where its schema can be made the target's.

        Raises:
            UserError: It is not in a state in which it can be read.
        """

    def measure(self) -> int:
        """The size of its artifacts in bytes."""

    def rows(self, target: Site) -> AbstractContextManager[BinaryIO]:
        """Its rows as of one moment, with locations as the target needs them."""

    def artifacts(self, note: Note) -> Iterator[tuple[Entry, BinaryIO]]:
        """Its artifacts, by their paths below the artifact root."""


class StackOrigin:
    """A stack that runs: `site`."""

    def __init__(self, site: Site) -> None:
        self.name, self.site = f"stack {site.stack.name!r}", site

    def held(self) -> AbstractContextManager[object]:
        """By the stack's lock."""
        return self.site.stack.locked()

    def look(self) -> Census:
        """As its database counts."""
        require_whole(self.site)
        self.site.runtime.sweep(self.site.stack)
        return self.site.scenario.backend_store.census(self.site)

    def measure(self) -> int:
        """As its artifact store says."""
        return self.site.scenario.artifact_store.measure(self.site)

    def rows(self, target: Site) -> AbstractContextManager[BinaryIO]:
        """By a courier beside its own stores."""
        site = self.site
        moved = locations.moves(site.scenario, site.settings, site.data, target.root)
        return site.scenario.backend_store.rows(site, moved)

    def artifacts(self, note: Note) -> Iterator[tuple[Entry, BinaryIO]]:
        """All that its artifact store has below the artifact root."""
        backend = self.site.scenario.backend_store
        for section, entry, content in self.site.scenario.artifact_store.dump(self.site, note):
            if section != "artifacts":
                note(f"object {entry.path} lies beside the artifacts and was not copied")
                continue
            path = backend.artifact(entry.path)
            yield Entry(path, entry.size, entry.folder, entry.modified), content


class ForeignOrigin:
    """What stackctl did not make."""

    def __init__(self, store: Foreign) -> None:
        self.name, self._store = str(store.path), store

    def held(self) -> AbstractContextManager[object]:
        """By nothing: nobody else asks for a lock."""
        return nullcontext()

    def look(self) -> Census:
        """A copy of it is taken to the target's schema, whatever its own is."""
        census = self._store.census()
        return Census(census.counts, "", census.bytes)

    def measure(self) -> int:
        """As the folders tell."""
        return sum(entry.size or 0 for entry, _ in self._store.artifacts(lambda _: None))

    @contextmanager
    def rows(self, target: Site) -> Iterator[BinaryIO]:
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
