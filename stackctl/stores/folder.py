"""Artifacts in a folder that clients write themselves."""

import shutil
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from stackctl.stores import tree
from stackctl.stores.base import ArtifactStore, Entry, Note

if TYPE_CHECKING:
    from stackctl.operations.site import Site

_SECTION = "artifacts"


class Folder(ArtifactStore):
    """A folder on the machine, at the same path for clients and server."""

    kind = "folder"
    label = "local folder (mlruns/)"
    local = True

    def measure(self, site: "Site") -> int:
        """The size of all files that are not the backend store's own."""
        keeps = site.scenario.backend_store.keeps
        found = tree.walk(site.data / "mlruns", lambda _: None)
        return sum(entry.size or 0 for entry, _ in found if not keeps(entry.path))

    def dump(self, site: "Site", note: Note) -> Iterator[tuple[str, Entry, BinaryIO]]:
        """Every file and folder that is not the backend store's own."""
        keeps = site.scenario.backend_store.keeps
        found = tree.walk(site.data / "mlruns", note)
        for entry, content in tree.opened((e, p) for e, p in found if not keeps(e.path)):
            yield _SECTION, entry, content

    def load(
        self, site: "Site", entries: Iterable[tuple[str, Entry, BinaryIO]], *, skip: bool = False
    ) -> None:
        """Write files and folders."""
        found = ((entry, content) for section, entry, content in entries if section == _SECTION)
        tree.write(site.data / "mlruns", found, skip=skip)

    def clear(self, site: "Site") -> None:
        """Delete what is in the folder; a backend store in it is replaced anyway."""
        for path in (site.data / "mlruns").iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
