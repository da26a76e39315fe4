"""What writer and reader of an archive have in common."""

import json
import tarfile
from collections.abc import Callable, Mapping
from typing import Any

# Raised when an older stackctl could not read what this one writes.
FORMAT = 1
CHUNK = 1 << 20
BLOCK = 512
# Two empty blocks end a tar file.
END = bytes(2 * BLOCK)
HEADER_FILE, SECRETS, MEMBERS, MANIFEST, TRAILER = (
    "backup.json", "secrets.age", "members.jsonl", "manifest.json", "trailer.json",
)  # fmt: skip
SECTIONS = ("database", "artifacts", "bucket", "bundle")

Advance = Callable[[int], None]


def ignore(count: int) -> None:
    """Tell nobody."""


def padding(size: int) -> int:
    """Bytes from the end of a member's content to the next block."""
    return -size % BLOCK


def header(name: str, size: int, *, folder: bool = False, modified: float = 0) -> bytes:
    """A member's header, of nobody: who may read it is decided where it is unpacked."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime = size, int(modified)
    info.mode = 0o700 if folder else 0o600
    info.type = tarfile.DIRTYPE if folder else tarfile.REGTYPE
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def line(values: Mapping[str, Any]) -> bytes:
    """`values` as one line of JSON."""
    return json.dumps(values).encode() + b"\n"


def trailer(values: Mapping[str, Any]) -> bytes:
    """The end of an archive."""
    return header(TRAILER, BLOCK) + line(values).ljust(BLOCK) + END
