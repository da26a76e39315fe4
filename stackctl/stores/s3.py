"""A bucket in an S3 object store: the stack's own, or an external one."""

import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, BinaryIO, cast
from urllib.parse import quote, unquote

from stackctl.courier import NOTES
from stackctl.courier.places import plain
from stackctl.errors import MachineError
from stackctl.settings import Settings
from stackctl.stores.base import ArtifactStore, Entry, Extent, Note
from stackctl.stores.credentials import Credential
from stackctl.stores.reach import Reach

_SCHEME = "s3://"
_ROOT = "artifacts"
_ELSEWHERE = "bucket"
_CHUNK = 1 << 20
_KEY_BYTES = 1024
# What an object store loses of a name, or refuses (SeaweedFS 4.48 by trial, MinIO and RustFS by
# their sources, of 2025 and 2026), and how that is said.
_LOST = {
    "seaweedfs": (r"\\|(^|/)\.uploads(/|$)",
                  "SeaweedFS makes a folder of a backslash, and hides what is in .uploads"),
    "minio": (r"(^|/)\s*\.\.?\s*(/|$)", "MinIO refuses a part of blanks and dots"),
    "rustfs": (r"(^|[/\\])\s*\.\.?\s*([/\\]|$)", "RustFS refuses a part of blanks and dots"),
}  # fmt: skip


class S3(ArtifactStore):
    """Artifacts as objects below `s3://BUCKET/artifacts`."""

    kind = "s3"

    def measure(self, reach: Reach) -> int:
        """The size of all objects of the bucket."""
        return int(reach.ask("objects-measure", bucket=reach.settings.bucket)["bytes"])

    def extent(self, reach: Reach, location: str, folders: Sequence[str]) -> Extent | None:
        """Of another bucket, by the keys of this one."""
        if not (there := _chosen(location, folders)):
            return None
        try:
            found = reach.ask("objects-measure", **there)
        except MachineError:
            return None
        return Extent(int(found["objects"]), int(found["bytes"]), str(found["odd"]))

    def beside(
        self, reach: Reach, location: str, folders: Sequence[str], note: Note
    ) -> Iterator[tuple[Entry, BinaryIO]]:
        """Of another bucket, by the keys of this one."""
        _, _, place = location.removeprefix(_SCHEME).partition("/")
        start = f"{place.rstrip('/')}/" if place else ""
        for key, entry, content in _objects(reach, note, **_chosen(location, folders)):
            yield replace(entry, path=key.removeprefix(start)), content

    def paths(self, reach: Reach) -> Iterator[str]:
        """By their keys; what lies beside the artifacts is none."""
        with reach.courier("objects-names", bucket=reach.settings.bucket) as pipe:
            for line in pipe.stdout:
                head, _, path = str(json.loads(line)).partition("/")
                if head == _ROOT:
                    yield path

    def refusal(self, path: str, settings: Settings) -> str:
        """As the object store takes keys."""
        if general := super().refusal(path, settings):
            return general
        if len(f"{_ROOT}/{path}".encode()) > _KEY_BYTES:
            return f"its key has more than {_KEY_BYTES} bytes"
        pattern, why = _LOST.get(settings.object_store, ("(?!)", ""))
        return why if re.search(pattern, path) else ""

    def nests(self, settings: Settings) -> bool:
        """Where objects are no files."""
        return settings.object_store not in ("minio", "rustfs")

    def dump(self, reach: Reach, note: Note) -> Iterator[tuple[str, Entry, BinaryIO]]:
        """Every object of the bucket."""
        for key, entry, content in _objects(reach, note, bucket=reach.settings.bucket):
            section, path = _place(key)
            yield section, replace(entry, path=path), content

    def load(
        self, reach: Reach, entries: Iterable[tuple[str, Entry, BinaryIO]], *, skip: bool = False
    ) -> None:
        """Put every object."""
        with reach.courier("objects-in", bucket=reach.settings.bucket, skip=skip) as pipe:
            with tarfile.open(
                fileobj=pipe.stdin, mode="w|", bufsize=_CHUNK, format=tarfile.PAX_FORMAT
            ) as tar:
                for section, entry, content in entries:
                    if entry.folder:
                        continue
                    info = tarfile.TarInfo(_key(section, entry.path))
                    info.size = entry.size or 0
                    tar.addfile(info, content)
            pipe.stdin.close()
            pipe.stdout.read()

    def clear(self, reach: Reach) -> None:
        """Delete every object."""
        reach.ask("objects-clear", bucket=reach.settings.bucket)

    def credentials(self, settings: Settings) -> list[Credential]:
        """The keys of the bucket."""
        return [Keys(external=settings.object_store == "external")]


class Keys(Credential):
    """Access key and secret key, which the stack's own object store reads when it starts."""

    names = ("s3_access_key", "s3_secret_key")

    def __init__(self, *, external: bool) -> None:
        self.service, self.from_start = ("", False) if external else ("objects", True)
        self.foreign = (
            ("the object store is external, and its keys are made there",
             "make a new key there, put it into the files of these names, then run stackctl remove "
             "and stackctl deploy, which keep the data")
            if external
            else None
        )  # fmt: skip

    def taken(self, reach: Reach, values: Sequence[Sequence[str]]) -> list[bool]:
        """As the object store says."""
        answer = reach.ask("objects-taken", bucket=reach.settings.bucket, keys=list(values))
        return list(answer["taken"])


def _chosen(location: str, folders: Sequence[str]) -> dict[str, Any]:
    """Bucket and prefixes of folders of a place; nothing where that is in no bucket."""
    bucket, _, path = location.removeprefix(_SCHEME).partition("/")
    if not location.startswith(_SCHEME) or not bucket:
        return {}
    start = [path.rstrip("/")] if path else []
    return {"bucket": bucket, "prefixes": ["/".join([*start, one]) + "/" for one in folders]}


def _objects(reach: Reach, note: Note, **chosen: Any) -> Iterator[tuple[str, Entry, BinaryIO]]:
    """Key, entry and content of each object that is chosen."""
    with (
        reach.courier("objects-out", **chosen) as pipe,
        tarfile.open(fileobj=pipe.stdout, mode="r|", bufsize=_CHUNK) as tar,
    ):
        for info in tar:
            content = cast(BinaryIO, tar.extractfile(info))
            if info.name == NOTES:
                for line in json.load(content):
                    note(line)
                continue
            yield info.name, Entry(info.name, info.size, modified=float(info.mtime)), content


def _place(key: str) -> tuple[str, str]:
    """Section and path of an object in an archive, which allows no path but a plain one."""
    head, _, path = key.partition("/")
    if head == _ROOT and plain(path):
        return _ROOT, path
    return _ELSEWHERE, quote(key, safe="")


def _key(section: str, path: str) -> str:
    return f"{_ROOT}/{path}" if section == _ROOT else unquote(path)
