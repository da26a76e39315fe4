"""A disk that is really full: a tiny tmpfs for root, a limit on file sizes for others."""

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def full(folder: Path, *, room: int = 0) -> Iterator[None]:
    """No file in `folder` can be written, once `room` bytes of its disk are used."""
    if _mounted(folder):
        filler = folder / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"\0" * 4096)
            except OSError:
                os.truncate(file.fileno(), max(0, file.tell() - room))
        yield
        filler.unlink()
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Python ignores SIGXFSZ, so a write beyond the limit fails like one on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (max(room, 16), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def small_disk(folder: Path, *, size: str = "64k") -> Iterator[Path]:
    """`folder` as a file system of its own where this user may mount one."""
    folder.mkdir()
    can = os.geteuid() == 0 and not subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "none", str(folder)],
        capture_output=True, check=False,
    ).returncode  # fmt: skip
    try:
        yield folder
    finally:
        if can:
            subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mounted(folder: Path) -> bool:
    return os.path.ismount(folder)
