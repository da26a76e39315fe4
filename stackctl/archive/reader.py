"""Reads an archive, and trusts nothing in it before it was compared with its checksum."""

import hashlib
import io
import json
import os
import tarfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, cast

from stackctl.archive import layout
from stackctl.archive.about import problem
from stackctl.archive.layout import BLOCK, CHUNK, Advance
from stackctl.archive.names import Names
from stackctl.errors import BadArchive, MachineError
from stackctl.kinds import ARTIFACTS
from stackctl.stores import BACKENDS, BackendStore
from stackctl.stores.base import Entry

_TRAILER_SIZE = 2 * BLOCK + len(layout.END)
_NAMES = (layout.HEADER_FILE, layout.SECRETS, layout.MEMBERS, layout.MANIFEST, layout.TRAILER)


@dataclass(frozen=True)
class Member:
    """A member of an archive.

    Attributes:
        section: `database`, `artifacts`, `bucket` or `bundle`; "" for what is of the archive.
        entry: Its path below the section, and what else a store knows of it.
    """

    section: str
    entry: Entry

    @property
    def name(self) -> str:
        """As in the archive."""
        return f"{self.section}/{self.entry.path}" if self.section else self.entry.path


class Archive:
    """An archive that is there.

    Attributes:
        path: The file.
        manifest: What it says of itself.
    """

    def __init__(self, path: Path) -> None:
        """Open it.

        Raises:
            BadArchive: It is none, is cut short, or was made by a newer stackctl.
            MachineError: It cannot be read.
        """
        self.path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise MachineError(
                f"archive {path} cannot be opened: {error.strerror}", hint="is the path right?"
            ) from error
        try:
            self.size = os.fstat(self._file.fileno()).st_size
            self._trailer = self._json(self.size - _TRAILER_SIZE, layout.TRAILER)
            self._refuse_newer(self._trailer)
            self.manifest = self._json(self._trailer["manifest"], layout.MANIFEST)
            if wrong := problem(self.manifest):
                raise self._bad(f"{layout.MANIFEST} is malformed: {wrong}")
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "Archive":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def members(self) -> Iterator[tuple[Member, BinaryIO]]:
        """Every member that was listed, in order, with a stream of its content.

        Raises:
            BadArchive: A header is damaged, or a name leads elsewhere.
        """
        for info in self._walk():
            if info.offset >= self._trailer["members"]:
                return
            yield self._member(info), self._content(info)

    def section(self, name: str) -> Iterator[tuple[Entry, BinaryIO]]:
        """Every member of one section."""
        for member, content in self.members():
            if member.section == name:
                yield member.entry, content

    def checksums(self, sections: Collection[str]) -> dict[str, str]:
        """Name and SHA-256 of every file of some sections."""
        found = {}
        for (member, _), listed in zip(self.members(), self._listed(), strict=False):
            if member.section in sections and not member.entry.folder:
                found[member.name] = str(listed["sha256"])
        return found

    def text(self, name: str) -> bytes | None:
        """The content of a small member of the archive itself; None where there is none."""
        for member, content in self.members():
            if member.name == name:
                return content.read()
        return None

    def verify(self, advance: Advance = layout.ignore) -> None:
        """Compare every byte with its checksum, and every member with what a restore can take.

        Args:
            advance: Told how many bytes of content were read.

        Raises:
            BadArchive: Naming the member that differs.
        """
        frame, end, count = hashlib.sha256(), 0, 0
        listed, dumped = self._listed(), set[str]()
        kind = ARTIFACTS.get(str(self.manifest["artifacts"]))
        names = Names(files=kind is not None and kind.local)
        for info in self._walk():
            member = self._member(info)
            if member.name == layout.TRAILER:
                break
            frame.update(self._at(end, info.offset_data - end))
            is_listed = info.offset < self._trailer["members"]
            digest = hashlib.sha256() if is_listed else frame
            for chunk in self._chunks(info.offset_data, info.size):
                digest.update(chunk)
                advance(len(chunk))
            end = info.offset_data + info.size
            if is_listed:
                count += 1
                if wrong := names.problem(member.name, folder=member.entry.folder):
                    raise self._bad(f"{member.name!r} {wrong}")
                found = {"name": member.name, "size": info.size, "sha256": digest.hexdigest()}
                if next(listed, None) != found:
                    raise self._bad(f"{member.name!r} differs from its checksum")
                if member.section == "database" and not member.entry.folder:
                    self._refuse_no_dump(member, self._content(info))
                    dumped.add(member.entry.path)
            frame.update(self._at(end, layout.padding(info.size)))
            end += layout.padding(info.size)
        if end != self.size - _TRAILER_SIZE or count != self.manifest.get("members"):
            raise self._bad("members are missing")
        self._compare_trailer(frame.hexdigest())
        if missing := self._backend.lacks(dumped):
            raise self._bad(f"'database/{min(missing)}' is missing, and so all runs")

    @property
    def _backend(self) -> BackendStore:
        kind = str(self.manifest["backend"])
        if kind not in BACKENDS:
            raise self._bad(f"this stackctl knows no backend store of kind {kind!r}")
        return BACKENDS[kind]

    def _refuse_no_dump(self, member: Member, content: BinaryIO) -> None:
        if wrong := self._backend.flaw(member.entry, content, self.manifest["counts"]):
            raise self._bad(f"{member.name!r} {wrong}")

    def _compare_trailer(self, digest: str) -> None:
        rest = self._at(self.size - _TRAILER_SIZE, _TRAILER_SIZE)
        if rest != layout.trailer({**self._trailer, "sha256": digest}):
            raise self._bad("a header differs from its checksum")

    def _content(self, info: tarfile.TarInfo) -> BinaryIO:
        content = _Slice(self._file, info.offset_data, info.size)
        return cast(BinaryIO, io.BufferedReader(content, CHUNK))

    def _walk(self) -> Iterator[tarfile.TarInfo]:
        """Every header, without the list of them that tarfile would keep."""
        self._file.seek(0)
        try:
            with tarfile.TarFile(fileobj=self._file, mode="r", errors="surrogateescape") as tar:
                while (info := tar.next()) is not None:
                    tar.members.clear()  # type: ignore[attr-defined]
                    yield info
        except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
            raise self._bad(f"a header is damaged ({error})") from error

    def _member(self, info: tarfile.TarInfo) -> Member:
        name = info.name
        section, slash, path = name.partition("/")
        parts = PurePosixPath(path).parts
        if not (info.isreg() or info.isdir()):
            raise self._bad(f"{name!r} is neither a file nor a folder")
        if "\0" in name or (
            section not in layout.SECTIONS if slash else name not in _NAMES
        ) or (slash and (not parts or ".." in parts or "/".join(parts) != path)):  # fmt: skip
            raise self._bad(f"the name {name!r} leads out of the archive's folders")
        entry = Entry(
            path if slash else name, info.size, folder=info.isdir(), modified=float(info.mtime)
        )
        return Member(section if slash else "", entry)

    def _listed(self) -> Iterator[dict[str, Any]]:
        start = self._trailer["members"]
        info = self._info(start, layout.MEMBERS)
        left, position, rest = info.size, info.offset_data, b""
        while left:
            chunk = self._at(position, min(CHUNK, left))
            if not chunk:
                raise self._bad("it is cut short")
            left, position = left - len(chunk), position + len(chunk)
            *lines, rest = (rest + chunk).split(b"\n")
            for text in lines:
                yield self._parsed(text, layout.MEMBERS)

    def _json(self, position: int, name: str) -> dict[str, Any]:
        info = self._info(position, name)
        if info.size > 64 << 20:
            raise self._bad(f"{name} is too large")
        return self._parsed(self._at(info.offset_data, info.size), name)

    def _parsed(self, text: bytes, name: str) -> dict[str, Any]:
        try:
            found = json.loads(text)
        except ValueError as error:
            raise self._bad(f"{name} is damaged") from error
        if not isinstance(found, dict):
            raise self._bad(f"{name} is damaged")
        return found

    def _info(self, position: object, name: str) -> tarfile.TarInfo:
        """The header of `name`, which must be at `position`."""
        try:
            if not isinstance(position, int) or position < 0:
                raise tarfile.TarError(str(position))
            self._file.seek(position)
            info = tarfile.TarInfo.frombuf(self._file.read(BLOCK), "utf-8", "surrogateescape")
        except (tarfile.TarError, ValueError) as error:
            raise self._bad("it is cut short, or no backup of stackctl") from error
        if info.name != name:
            raise self._bad("it is cut short, or no backup of stackctl")
        info.offset_data = position + BLOCK
        return info

    def _refuse_newer(self, trailer: dict[str, Any]) -> None:
        if trailer.get("format") == layout.FORMAT:
            return
        raise BadArchive(
            self.path,
            f"its format is {trailer.get('format')!r}, and this stackctl reads {layout.FORMAT}",
            hint="use the stackctl that made it, or a newer one; nothing was changed",
        )

    def _chunks(self, position: int, size: int) -> Iterator[bytes]:
        while size:
            chunk = self._at(position, min(CHUNK, size))
            if not chunk:
                raise self._bad("it is cut short")
            yield chunk
            size, position = size - len(chunk), position + len(chunk)

    def _at(self, position: int, size: int) -> bytes:
        # Whoever walks through the headers keeps the file's own position.
        return os.pread(self._file.fileno(), size, position)

    def _bad(self, reason: str) -> BadArchive:
        return BadArchive(self.path, reason)


class _Slice(io.RawIOBase):
    """A part of a file, as a file of its own."""

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._position, self._end = file, start, start + size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), self._end - self._position)
        chunk = os.pread(self._file.fileno(), wanted, self._position)
        buffer[: len(chunk)] = chunk
        self._position += len(chunk)
        return len(chunk)
