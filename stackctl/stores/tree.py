"""A folder of a user as a store sees it: every file in it, by its path."""

import io
import os
import stat
import tarfile
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from stackctl.stores.base import Entry

_CHUNK = 1 << 20

Note = Callable[[str], None]


def walk(root: Path, note: Note) -> Iterator[tuple[Entry, Path]]:
    """Every file and folder below `root`, folders before what is in them, by name.

    A link is followed: what it leads to is the user's data too. One that leads nowhere or back,
    and what is neither file nor folder, is left out and noted.
    """
    yield from _walk(root, "", note, frozenset())


def _walk(
    folder: Path, prefix: str, note: Note, above: frozenset[tuple[int, int]]
) -> Iterator[tuple[Entry, Path]]:
    here = folder.stat()
    above |= {(here.st_dev, here.st_ino)}
    for path in sorted(folder.iterdir()):
        relative = f"{prefix}{path.name}"
        try:
            info = path.stat()
        except FileNotFoundError:
            if path.is_symlink():
                note(f"link {path} leads nowhere and was left out")
            continue
        if stat.S_ISDIR(info.st_mode):
            if (info.st_dev, info.st_ino) in above:
                note(f"link {path} leads back to a folder that it is in and was left out")
                continue
            yield Entry(relative, folder=True, modified=info.st_mtime), path
            yield from _walk(path, f"{relative}/", note, above)
        elif stat.S_ISREG(info.st_mode):
            yield Entry(relative, info.st_size, modified=info.st_mtime), path
        else:
            note(f"{path} is neither a file nor a folder and was left out")


def shown(path: object) -> str:
    """A path as it may stand in a message: on one line, whatever is in it."""
    text = str(path)
    return text if text.isprintable() else repr(text)


def below(path: Path, places: Collection[Path]) -> bool:
    """A path is one of some places, or in one of them."""
    return bool(places) and not {path, *path.parents}.isdisjoint(places)


def opened(found: Iterable[tuple[Entry, Path]]) -> Iterator[tuple[Entry, BinaryIO]]:
    """Each with its content; one that was deleted meanwhile is passed over."""
    for entry, path in found:
        if entry.folder:
            yield entry, io.BytesIO()
            continue
        try:
            file = path.open("rb")
        except FileNotFoundError:
            continue
        with file:
            size = os.fstat(file.fileno()).st_size
            yield Entry(entry.path, size, modified=entry.modified), file


def pack(entries: Iterable[tuple[Entry, BinaryIO]], out: BinaryIO) -> None:
    """Entries as a tar stream."""
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as tar:
        for entry, content in entries:
            info = tarfile.TarInfo(entry.path)
            if entry.folder:
                info.type, info.mode = tarfile.DIRTYPE, 0o700
            info.size = entry.size or 0
            tar.addfile(info, None if entry.folder else content)


def write(root: Path, entries: Iterable[tuple[Entry, BinaryIO]], *, skip: bool = False) -> None:
    """Write entries below `root`, each file under another name until it is whole.

    Args:
        root: The folder.
        entries: What goes into it.
        skip: Leave a file that is there with the same size as it is.

    Raises:
        OSError: One cannot be written.
    """
    for entry, content in entries:
        path = root / entry.path
        if entry.folder:
            path.mkdir(parents=True, exist_ok=True)
            continue
        if skip and path.is_file() and path.stat().st_size == entry.size:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.parent / f".{path.name[:100]}.part"
        with part.open("wb") as file:
            while chunk := content.read(_CHUNK):
                file.write(chunk)
        os.utime(part, (entry.modified, entry.modified))
        part.replace(path)
