"""What all have in common that carry data: how far they are, and whether there is room."""

import hashlib
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO, Protocol

from stackctl.console import size
from stackctl.errors import MachineError
from stackctl.operations.site import Site

# What a file system needs beside the data themselves.
_SPARE = 64_000_000
_CHUNK = 1 << 20


class Meter(Protocol):
    """Is told how far a transfer is."""

    def expect(self, what: str, total: int) -> None:
        """Something of about `total` bytes begins."""

    def advance(self, count: int) -> None:
        """So many bytes more are done."""


def sha256(content: BinaryIO, meter: Meter) -> str:
    """Of the rest of a stream, in hexadecimal digits."""
    digest = hashlib.sha256()
    while chunk := content.read(_CHUNK):
        digest.update(chunk)
        meter.advance(len(chunk))
    return digest.hexdigest()


def first_unequal(site: Site, wanted: Mapping[str, str], meter: Meter) -> tuple[str, bool] | None:
    """The first artifact of a stack that is not as it should be, and whether it is there at all.

    Args:
        site: Whose.
        wanted: The SHA-256 of each artifact, by its name in an archive; others may be there too.
        meter: Told how far it is.
    """
    left = dict(wanted)
    for section, entry, content in site.scenario.artifact_store.dump(site, lambda _: None):
        name = f"{section}/{entry.path}"
        digest = sha256(content, meter)
        if name in left and left.pop(name) != digest:
            return name, True
    return (next(iter(left)), False) if left else None


def require_room(folder: Path, needed: int, what: str) -> None:
    """The disk of `folder` has room for `needed` bytes.

    Raises:
        MachineError: It has not.
    """
    there = folder
    while not there.exists():
        there = there.parent
    free = shutil.disk_usage(there).free
    if free < needed + _SPARE:
        raise MachineError(
            f"{what} needs about {size(needed)}, and {folder} has {size(free)} left",
            hint="free some space, or choose another place; nothing was changed",
        )
