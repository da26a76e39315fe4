"""What can be done with the two stores of MLflow tracking, whatever their kinds."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from stackctl.courier.counting import COUNTED
from stackctl.courier.misfit import Misfit
from stackctl.settings import Settings
from stackctl.stores.credentials import Credential
from stackctl.stores.reach import Reach

Note = Callable[[str], None]
# How many there are of each kind, at least and at most.
Ranges = Mapping[str, Sequence[int]]
# What every file system and every object store of ours takes as a part of a path.
_PART_BYTES = 255


@dataclass(frozen=True)
class Entry:
    """A file or folder of a store, on its way into or out of a backup.

    Attributes:
        path: Relative to the store's root, with slashes.
        size: In bytes; None where only reading it tells.
        folder: It is a folder, kept because the store needs it, empty or not.
        modified: Seconds since 1970.
    """

    path: str
    size: int | None = 0
    folder: bool = False
    modified: float = 0.0


def unlike(counts: Ranges, found: Mapping[str, int]) -> str:
    """Of which kind there are more or fewer than there should be, in words; "" where of none."""
    for kind, (least, most) in counts.items():
        if kind not in COUNTED:
            continue  # of a later stackctl
        if not least <= found.get(kind, 0) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            what = kind.replace("_", " ")
            return f"{found.get(kind, 0)} {what}, and the archive says {wanted}"
    return ""


@dataclass(frozen=True)
class Census:
    """What a backend store holds, without what stackctl's own checks left in it.

    Attributes:
        counts: Of experiments, runs, metric points, registered models and the like.
        revision: The version of the schema; "" where the store has none.
        bytes: Its size, about.
        encrypted: How many rows MLflow has encrypted, of each kind; see `stackctl.courier.keys`.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    revision: str = ""
    bytes: int = 0
    encrypted: Mapping[str, int] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Nobody has logged anything."""
        # Every store has the experiment `Default`.
        return self.counts.get("experiments", 0) <= 1 and not any(
            count for name, count in self.counts.items() if name != "experiments"
        )


class BackendStore:
    """How experiments, runs, parameters, metrics and tags are kept, and carried.

    Attributes:
        kind: The word used in scenario files; `stackctl.kinds` has the facts.
        dumped: The names of what every dump has.
    """

    kind: str
    dumped: tuple[str, ...] = ()

    def unreadable(self, data: Path) -> Iterable[tuple[Path, str]]:
        """Each file in a data folder that would be copied and cannot be read, and why."""
        return ()

    def misfits(
        self, reach: Reach, database: str, relocations: Sequence[tuple[str, str]]
    ) -> Iterable[Misfit]:
        """What of it a database of another kind cannot hold.

        Args:
            reach: How it is reached; it is only read.
            database: That kind.
            relocations: As for `rows`.
        """
        raise NotImplementedError

    def lacks(self, dumped: Iterable[str]) -> set[str]:
        """Names of what a dump with those of `dumped` should have too."""
        return set(self.dumped) - set(dumped)

    def flaw(self, entry: Entry, content: BinaryIO, counts: Ranges) -> str:
        """What is wrong with an entry of a dump that `load` would not take, in words; else "".

        Args:
            entry: Which.
            content: Of it.
            counts: How many there should be of each kind.

        Raises:
            MachineError: This machine cannot look.
        """
        return ""

    def tracking_uri(self, data: Path) -> str:
        """The URI with which a client uses this store directly, without a server."""
        raise NotImplementedError(f"{self.kind} is reached through a tracking server")

    def client_environment(self, data: Path) -> dict[str, str]:
        """What a client that uses this store directly must set beside the tracking URI."""
        return {}

    def prepare(self, data: Path) -> None:
        """Put into a new data folder what MLflow does not make in a folder that is there."""

    def is_in(self, data: Path) -> bool:
        """There is one in a data folder."""
        return False

    def read_param(self, data: Path, experiment_id: str, run_id: str, key: str) -> str | None:
        """A run's parameter, read as a client without a server would; None where there is none."""
        raise NotImplementedError

    def write_tag(self, data: Path, experiment_id: str, run_id: str, key: str, value: str) -> None:
        """Set a run's tag, written as a client without a server would."""
        raise NotImplementedError

    def census(self, reach: Reach) -> Census:
        """What it holds now."""
        raise NotImplementedError

    def dump(self, reach: Reach, note: Note) -> Iterator[tuple[Entry, BinaryIO]]:
        """Everything in it as of one moment, as files; the stack goes on meanwhile.

        Args:
            reach: How it is reached.
            note: Told what the user should know.
        """
        raise NotImplementedError

    def load(self, reach: Reach, entries: Iterable[tuple[Entry, BinaryIO]], revision: str) -> None:
        """Replace everything in it by what `dump` gave; no server runs meanwhile.

        Args:
            reach: How it is reached.
            entries: The files.
            revision: The schema's version in them.
        """
        raise NotImplementedError

    def rows(
        self, reach: Reach, relocations: Sequence[tuple[str, str]], cut_for: str = ""
    ) -> AbstractContextManager[BinaryIO]:
        """Everything in it as a stream of rows (`stackctl.courier.rows`), of one moment.

        Args:
            reach: How it is reached; it is only read.
            relocations: Pairs of an old and a new beginning of artifact locations.
            cut_for: A kind of database, for which texts are cut that are too long.
        """
        raise NotImplementedError

    def settle(self, reach: Reach, relocations: Sequence[tuple[str, str]]) -> None:
        """Make what was loaded fit the stack: its artifacts' places, its schema, its login.

        Args:
            reach: How it is reached.
            relocations: Pairs of an old and a new beginning of artifact locations.
        """

    def elsewhere(self, reach: Reach, own: Sequence[str]) -> list[dict[str, Any]]:
        """Places of artifacts that begin with none of `own`; see `stackctl.courier.places`."""
        raise NotImplementedError

    def credentials(self, settings: Settings) -> list[Credential]:
        """What it asks for."""
        return []

    def keeps(self, path: str) -> bool:
        """A path below the artifact root is this store's own, and no artifact."""
        return False

    def artifact(self, path: str) -> str:
        """Where its rows say that an artifact is which lies at a path below the artifact root."""
        return path


@dataclass(frozen=True)
class Extent:
    """What there is at a place.

    Attributes:
        files: How many.
        bytes: Their size.
        odd: A name of one that no file can have, where there is one.
    """

    files: int
    bytes: int
    odd: str = ""


class ArtifactStore:
    """How files, models and figures are kept, and carried.

    Attributes:
        kind: The word used in scenario files; `stackctl.kinds` has the facts.
    """

    kind: str

    def measure(self, reach: Reach) -> int:
        """The size of all artifacts in bytes."""
        raise NotImplementedError

    def extent(self, reach: Reach, location: str, folders: Sequence[str]) -> "Extent | None":
        """What there is below folders of a place that is not the stack's.

        None where its keys do not open it.
        """
        return None

    def beside(
        self, reach: Reach, location: str, folders: Sequence[str], note: Note
    ) -> Iterator[tuple[Entry, BinaryIO]]:
        """Every file there, by its path below the place, whose keys open it."""
        raise NotImplementedError

    def paths(self, reach: Reach) -> Iterator[str]:
        """Of every artifact, below the artifact root."""
        raise NotImplementedError

    def refusal(self, path: str, settings: Settings) -> str:
        """Why an artifact of that path cannot be kept; "" where it can."""
        parts = path.split("/")
        if any(part in ("", ".", "..") for part in parts):
            return "a part of its name is empty, or one or two dots"
        try:
            long = any(len(part.encode()) > _PART_BYTES for part in parts)
        except UnicodeEncodeError:
            return "its name is no Unicode"
        return f"a part of its name has more than {_PART_BYTES} bytes" if long else ""

    def nests(self, settings: Settings) -> bool:
        """An artifact may have another's path and go on below it."""
        return False

    def dump(self, reach: Reach, note: Note) -> Iterator[tuple[str, Entry, BinaryIO]]:
        """Every artifact, with the section of the archive that it belongs to."""
        raise NotImplementedError

    def load(
        self, reach: Reach, entries: Iterable[tuple[str, Entry, BinaryIO]], *, skip: bool = False
    ) -> None:
        """Write artifacts that `dump` gave; those of the same path are replaced.

        Args:
            reach: How it is reached.
            entries: The artifacts.
            skip: Leave one that is there with the same size as it is.
        """
        raise NotImplementedError

    def clear(self, reach: Reach) -> None:
        """Delete every artifact."""
        raise NotImplementedError

    def credentials(self, settings: Settings) -> list[Credential]:
        """What it asks for."""
        return []
