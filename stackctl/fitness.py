"""What was found of a machine: whether stacks can run on it, and how to mend what is amiss."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from stackctl.console import size

_DISK_BYTES = 5 * 10**9


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What.
        level: `ok`, `warning`, or `problem`, with which deploy would fail.
        told: What was found.
        mend: How to mend it; "" where nothing is to mend.
    """

    subject: str
    level: str
    told: str
    mend: str = ""


def disk(path: Path, subject: str) -> Finding:
    """Whether the disk of a folder has room.

    Raises:
        OSError: There is no such folder here.
    """
    free = shutil.disk_usage(path).free
    told = f"{size(free)} free at {path}"
    if free < _DISK_BYTES:
        return Finding(subject, "warning", told, "free some: images alone take 2 GB")
    return Finding(subject, "ok", told)
