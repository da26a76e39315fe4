"""Artifacts in a folder that clients write themselves."""

import shutil
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from stackctl.stores import tree
from stackctl.stores.base import ArtifactStore, Entry, Note
from stackctl.stores.reach import Reach

_SECTION = "artifacts"


class Folder(ArtifactStore):
    """A folder on the machine, at the same path for clients and server."""

    kind = "folder"

    def measure(self, reach: Reach) -> int:
        """The size of all files that are not the backend store's own."""
        keeps = reach.keeps
        found = tree.walk(reach.data / "mlruns", lambda _: None)
        return sum(entry.size or 0 for entry, _ in found if not keeps(entry.path))

    def paths(self, reach: Reach) -> Iterator[str]:
        """Of every file that is not the backend store's own."""
        found = tree.walk(reach.data / "mlruns", lambda _: None)
        return (e.path for e, _ in found if not e.folder and not reach.keeps(e.path))

    def dump(self, reach: Reach, note: Note) -> Iterator[tuple[str, Entry, BinaryIO]]:
        """Every file and folder that is not the backend store's own."""
        keeps = reach.keeps
        found = tree.walk(reach.data / "mlruns", note)
        for entry, content in tree.opened((e, p) for e, p in found if not keeps(e.path)):
            yield _SECTION, entry, content

    def load(
        self, reach: Reach, entries: Iterable[tuple[str, Entry, BinaryIO]], *, skip: bool = False
    ) -> None:
        """Write files and folders."""
        found = ((entry, content) for section, entry, content in entries if section == _SECTION)
        tree.write(reach.data / "mlruns", found, skip=skip)

    def clear(self, reach: Reach) -> None:
        """Delete what is in the folder; a backend store in it is replaced anyway."""
        for path in (reach.data / "mlruns").iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
