"""Files that are replaced whole, or not at all."""

import errno
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from stackctl.errors import MachineError


def write_files(folder: Path, files: Mapping[str, tuple[str, int]]) -> None:
    """Write `{relative path: (text, mode)}`; every file is replaced whole, or none is touched.

    All texts are on the disk under other names before the first is renamed, so that a full disk
    changes nothing.

    Raises:
        MachineError: The folder cannot be written, or the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as fresh:
            for name, (text, mode) in files.items():
                path = Path(fresh) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("w", encoding="utf-8", newline="\n") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                path.chmod(mode)
            for name in files:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                if (folder / name).is_dir():
                    raise IsADirectoryError(errno.EISDIR, f"{name} is a folder")
            for name in files:
                (Path(fresh) / name).replace(folder / name)
    except OSError as error:
        raise cannot_write(folder, error) from error


def cannot_write(folder: Path, error: OSError) -> MachineError:
    """What is told where a folder is full, or is somebody else's."""
    return MachineError(
        f"{folder} cannot be written: {error.strerror}",
        hint="free some space, or make the folder writable",
    )
