"""Artifacts that lie at none of a stack's own places, for a client has named another one.

A backup takes those that are in folders of this machine, or in buckets that the stack's own keys
open: of each run, logged model and trace the folder that is called by its id. Nothing else below
the place is taken, which may be anybody's, nor what a link leads to outside of it. A restore makes
them the stack's own: an archive does not decide where on a machine something is written.
"""

import errno
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote

from stackctl import locations
from stackctl.console import counts
from stackctl.deployment import Deployment
from stackctl.stores import tree
from stackctl.stores.base import Entry, Note

_UNKNOWN = "it is no folder of this machine, and the stack's keys do not open it"
_NOT_HERE = "none of its folders is on this machine"
_UNNAMED = "some are in no folder of their own"


@dataclass(frozen=True)
class Elsewhere:
    """One place.

    Attributes:
        location: As rows say it.
        experiment: The id of the experiment that has it.
        name: That experiment's name.
        counts: How many runs, logged models and traces have their artifacts there.
        folders: Of these, below the place.
        files: How many there are.
        bytes: Their size.
        why: Why nothing is taken; "" where all is.
    """

    location: str
    experiment: str
    name: str
    counts: Mapping[str, int]
    folders: tuple[str, ...]
    files: int = 0
    bytes: int = 0
    why: str = ""

    def described(self) -> dict[str, Any]:
        """For an archive's manifest."""
        return {name: value for name, value in vars(self).items() if name != "folders"}

    def content(self, deployment: Deployment, note: Note) -> Iterator[tuple[Entry, BinaryIO]]:
        """Every file, by the path that it will have below a stack's artifact root.

        Raises:
            OSError: One leads out of the place.
        """
        if self.why:
            return
        if _folder(self.location) is None:
            found = deployment.artifacts.beside(deployment, self.location, self.folders, note)
            for entry, content in found:
                yield replace(entry, path=f"{self.experiment}/{entry.path}"), content
            return
        for entry, file in tree.opened(self._found(note)):
            # Somebody may have made another link of it since it was looked at.
            opened = Path(f"/proc/self/fd/{file.fileno()}")
            if opened.exists():
                self._require_inside(opened)
            yield entry, file

    def measured(self, deployment: Deployment) -> "Elsewhere":
        """With how much it is, and whether it can be taken."""
        is_unnamed = len(self.folders) < sum(self.counts.values())
        root = _folder(self.location)
        if root is None:
            extent = deployment.artifacts.extent(deployment, self.location, self.folders)
            if extent is None:
                return replace(self, why=_UNKNOWN)
            odd = f"{extent.odd!r} can be no file's name" if extent.odd else ""
            why = _UNNAMED if is_unnamed else odd
            return replace(self, files=extent.files, bytes=extent.bytes, why=why)
        if is_unnamed:
            return replace(self, why=_UNNAMED)
        try:
            sizes = [_size(entry, path) for entry, path in self._found(lambda _: None)]
        except OSError as error:
            return replace(self, why=f"{error.filename}: {error.strerror}")
        if not any((root / folder).is_dir() for folder in self.folders):
            return replace(self, why=_NOT_HERE)
        return replace(self, files=len(sizes), bytes=sum(sizes))

    def _found(self, note: Note) -> Iterator[tuple[Entry, Path]]:
        for folder in self.folders:
            place = Path(f"{_folder(self.location)}/{folder}")
            if not place.is_dir():
                continue
            self._require_inside(place)
            for entry, path in tree.walk(place, note):
                self._require_inside(path)
                if not entry.folder:
                    yield replace(entry, path=f"{self.experiment}/{folder}/{entry.path}"), path

    def _require_inside(self, path: Path) -> None:
        # Whoever makes a link need not be allowed to read what a backup can.
        if not path.resolve().is_relative_to(Path(f"{_folder(self.location)}").resolve()):
            raise OSError(errno.EXDEV, "leads out of the place", str(path))


def look(deployment: Deployment) -> list[Elsewhere]:
    """Every such place, as of now."""
    own = locations.own(deployment.scenario, deployment.settings, deployment.data)
    return [
        Elsewhere(**{**place, "folders": tuple(place["folders"])}).measured(deployment)
        for place in deployment.backend.elsewhere(deployment, own)
    ]


def lines(about: Mapping[str, Any], taken: str = "are in the archive") -> list[str]:
    """What an archive's manifest says of such places, for people; `taken` of what it holds."""
    found = []
    for place in about.get("elsewhere", ()):
        held = counts(place["counts"])
        what = f"artifacts of {held} of experiment {place['name']!r} at {place['location']}"
        extent = f"{place['files']} files, {place['bytes']} bytes"
        known = f" ({extent})" if place["files"] else ""
        found.append(
            f"{what} are not in the archive: {place['why']}{known}" if place["why"]
            else f"{what} {taken}: {extent}"
        )  # fmt: skip
    return found


def left_out(about: Mapping[str, Any]) -> bool:
    """An archive lacks artifacts that its rows name."""
    return any(place["why"] for place in about.get("elsewhere", ()))


def moves(about: Mapping[str, Any], root: str) -> list[tuple[str, str]]:
    """Pairs of each place whose artifacts an archive holds, and where a restore puts them."""
    return [
        (place["location"], f"{root}/{place['experiment']}")
        for place in about.get("elsewhere", ())
        if not place["why"]
    ]


def _folder(location: str) -> Path | None:
    if location.startswith("/"):
        return Path(location)
    path = location.removeprefix("file://")
    return Path(unquote(path)) if path != location and path.startswith("/") else None


def _size(entry: Entry, path: Path) -> int:
    if not os.access(path, os.R_OK):
        raise PermissionError(13, "Permission denied", str(path))
    return entry.size or 0
