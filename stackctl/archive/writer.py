"""Writes an archive from its first byte to its last, in constant memory."""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from stackctl.archive import layout
from stackctl.archive.layout import CHUNK, Advance
from stackctl.errors import MachineError
from stackctl.stores.base import Entry


class Writer:
    """One archive.

    Attributes:
        notes: What the user should know of how contents were read.
    """

    def __init__(self, file: BinaryIO, listed: BinaryIO, folder: Path, advance: Advance) -> None:
        self._file, self._listed, self._folder, self._advance = file, listed, folder, advance
        self._frame = hashlib.sha256()
        self._position = self._members = self._bytes = 0
        self.notes: list[str] = []

    def add(self, section: str, entry: Entry, content: BinaryIO) -> None:
        """One member, from a stream that is read to its end, or to the size that was told.

        Content that has changed its size meanwhile is cut, or filled with zeros, and noted.
        """
        name = f"{section}/{entry.path}"
        if entry.size is not None:
            self._member(name, entry.size, entry, content)
            return
        with tempfile.TemporaryFile(dir=self._folder) as spool:
            while chunk := content.read(CHUNK):
                spool.write(chunk)
            size = spool.tell()
            spool.seek(0)
            self._member(name, size, entry, spool)

    def text(self, name: str, content: bytes) -> None:
        """A member from memory."""
        with tempfile.TemporaryFile(dir=self._folder) as file:
            file.write(content)
            file.seek(0)
            self._member(name, len(content), Entry(name), file)

    def finish(self, manifest: Mapping[str, Any]) -> None:
        """The list of members, the manifest and the trailer."""
        whole = {
            **manifest, "format": layout.FORMAT, "members": self._members, "bytes": self._bytes,
            "notes": self.notes,
        }  # fmt: skip
        places = {"members": self._position}
        self._put(layout.header(layout.MEMBERS, size := self._listed.tell()))
        self._listed.seek(0)
        while chunk := self._listed.read(CHUNK):
            self._put(chunk)
        self._put(bytes(layout.padding(size)))
        places["manifest"] = self._position
        text = layout.line(whole)
        self._put(layout.header(layout.MANIFEST, len(text)) + text)
        self._put(bytes(layout.padding(len(text))))
        about = {"format": layout.FORMAT, "sha256": self._frame.hexdigest(), **places}
        self._file.write(layout.trailer(about))

    def _member(self, name: str, size: int, entry: Entry, content: BinaryIO) -> None:
        self._put(layout.header(name, size, folder=entry.folder, modified=entry.modified))
        digest, left = hashlib.sha256(), size
        while left:
            chunk = content.read(min(CHUNK, left))
            if not chunk:
                self.notes.append(f"{name} became shorter while it was read")
                break
            left -= len(chunk)
            self._data(chunk, digest)
        while left:
            chunk = bytes(min(CHUNK, left))
            left -= len(chunk)
            self._data(chunk, digest)
        self._put(bytes(layout.padding(size)))
        self._listed.write(layout.line({"name": name, "size": size, "sha256": digest.hexdigest()}))
        self._members += 1
        self._bytes += size

    def _data(self, chunk: bytes, digest: "hashlib._Hash") -> None:
        digest.update(chunk)
        self._file.write(chunk)
        self._position += len(chunk)
        self._advance(len(chunk))

    def _put(self, frame: bytes) -> None:
        self._frame.update(frame)
        self._file.write(frame)
        self._position += len(frame)


@contextmanager
def writing(path: Path, advance: Advance = layout.ignore) -> Iterator[Writer]:
    """Write the archive `path`: under another name until it is whole, and on the disk.

    Args:
        path: Where; a file that is there is replaced.
        advance: Told how many bytes of content were written.

    Raises:
        MachineError: It cannot be written, or the disk is full.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # One that was left by a backup that was killed.
        part.unlink(missing_ok=True)
        try:
            # Runs and artifacts are nobody's but the user's.
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "wb") as file, tempfile.TemporaryFile(dir=path.parent) as listed:
                yield Writer(file, listed, path.parent, advance)
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise MachineError(
            f"archive {path} cannot be written: {error.strerror or error}",
            hint="free some space, or choose another place with --output",
        ) from error
