"""Snapshots as plain files, named after what they hold; `--snapshot-update` writes them anew."""

import re
from pathlib import Path

from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from syrupy.location import PyTestLocation
from syrupy.types import SnapshotIndex

FOLDER = Path(__file__).parent


class Texts(SingleFileSnapshotExtension):
    """One folder for each test, one file for each name."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"

    @classmethod
    def dirname(cls, *, test_location: PyTestLocation) -> str:
        """The first word of the test's name."""
        return str(FOLDER / test_location.methodname.removeprefix("test_").split("_")[0])

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, index: SnapshotIndex = 0) -> str:
        """The name given by the test."""
        return str(index)


def title(words: str) -> str:
    """`words` as the name of a file."""
    return re.sub(r"[^a-z0-9.=_-]+", "-", words.replace("::", "six-"))


def names_in(folder: str) -> set[str]:
    """What snapshots a folder has."""
    return {path.name.removesuffix(".txt") for path in (FOLDER / folder).glob("*.txt")}
