"""Whether artifacts are what they should be, by their checksums."""

import hashlib
from collections.abc import Mapping
from typing import BinaryIO

from stackctl.deployment import Deployment
from stackctl.progress import Meter

_CHUNK = 1 << 20


def sha256(content: BinaryIO, meter: Meter) -> str:
    """Of the rest of a stream, in hexadecimal digits."""
    digest = hashlib.sha256()
    while chunk := content.read(_CHUNK):
        digest.update(chunk)
        meter.advance(len(chunk))
    return digest.hexdigest()


def first_unequal(
    deployment: Deployment, wanted: Mapping[str, str], meter: Meter
) -> tuple[str, bool] | None:
    """The first artifact of a stack that is not as it should be, and whether it is there at all.

    Args:
        deployment: Whose.
        wanted: The SHA-256 of each artifact, by its name in an archive; others may be there too.
        meter: Told how far it is.
    """
    left = dict(wanted)
    for section, entry, content in deployment.artifacts.dump(deployment, lambda _: None):
        name = f"{section}/{entry.path}"
        digest = sha256(content, meter)
        if name in left and left.pop(name) != digest:
            return name, True
    return (next(iter(left)), False) if left else None
