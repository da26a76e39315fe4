"""Where the artifacts of a run, a logged model or an experiment are; None where it is unclear."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote


@dataclass(frozen=True)
class Thing:
    """A run, a logged model, a trace or an experiment.

    Attributes:
        kind: Which of these.
        id: As MLflow has it.
        name: As people know it.
        experiment: The id of its experiment.
        location: Where its artifacts are, as its row says.
        origin: The number of an experiment in the file store that it came from, by which its folder
            is called; "" where it kept its own.
    """

    kind: str
    id: str
    name: str
    experiment: str
    location: str
    origin: str = ""

    @property
    def marks(self) -> set[str]:
        """A place is its own that is called by one of these."""
        return {self.id, self.origin} - {""}


class Belongings:
    """Where things have their artifacts: below `roots`, and nowhere else."""

    def __init__(self, roots: list[str], bucket: str) -> None:
        self.roots, self.bucket = roots, bucket
        self._s3: Any = None

    def of(self, thing: Thing) -> str | None:
        """The folder, or the beginning of the objects' keys; None where it is not its own."""
        for root in self.roots:
            rest = thing.location.removeprefix(root)
            if rest == thing.location or not rest.startswith("/") or rest.startswith("//"):
                continue
            rest = unquote(rest) if root.startswith("file:") else rest
            parts = rest.strip("/").split("/")
            # A place that others share would take them along.
            if not thing.marks & set(parts) or {"", ".", ".."} & set(parts):
                return None
            if not self.bucket:
                return f"{root.removeprefix('file://')}/{'/'.join(parts)}"
            head = [] if root.startswith("s3:") else ["artifacts"]
            return "/".join([*head, *parts])
        return None

    def size(self, thing: Thing) -> int:
        """The bytes of its artifacts."""
        place = self.of(thing)
        if place is None:
            return 0
        if self.bucket:
            begun = [part for upload in self._uploads(place) for part in self._parts(upload)]
            whole = sum(size for _, size in self._objects(place))
            return whole + sum(int(part["Size"]) for part in begun)
        folder = self._there(place)
        return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())

    def delete(self, thing: Thing) -> None:
        """Delete its artifacts."""
        place = self.of(thing)
        if place is None:
            return
        if self.bucket:
            for key, _ in self._objects(place):
                self._client().delete_object(Bucket=self.bucket, Key=key)
            for upload in self._uploads(place):
                self._client().abort_multipart_upload(Bucket=self.bucket, **upload)
            return
        folder = Path(place)
        if folder.is_symlink():
            folder.unlink()
        elif folder.is_dir():
            shutil.rmtree(folder)
        for above in folder.parents:
            if thing.marks & set(above.parts) and above.is_dir() and not any(above.iterdir()):
                above.rmdir()

    def _there(self, place: str) -> Path:
        """MLflow's file store moves a deleted experiment, and changes no location."""
        folder = Path(place)
        for root in self.roots:
            if not folder.exists() and place.startswith(f"{root}/"):
                return Path(root, ".trash", place.removeprefix(f"{root}/"))
        return folder

    def _objects(self, place: str) -> list[tuple[str, int]]:
        from stackctl.courier import objects

        found = objects.listed(self._client(), self.bucket, f"{place}/")
        return [(key, size) for key, size, _ in found]

    def _uploads(self, place: str) -> list[dict[str, str]]:
        """Those that were begun and never ended, as of a client that was killed.

        None where the store has no such list, or not for these keys.
        """
        from botocore.exceptions import ClientError

        pages = self._client().get_paginator("list_multipart_uploads")
        try:
            found = list(pages.paginate(Bucket=self.bucket, Prefix=f"{place}/"))
        except ClientError:
            return []
        return [
            {"Key": one["Key"], "UploadId": one["UploadId"]}
            for page in found
            for one in page.get("Uploads", ())
            # Not every store keeps to the prefix.
            if one["Key"].startswith(f"{place}/")
        ]

    def _parts(self, upload: dict[str, str]) -> list[dict[str, Any]]:
        pages = self._client().get_paginator("list_parts")
        found = pages.paginate(Bucket=self.bucket, **upload)
        return [part for page in found for part in page.get("Parts", ())]

    def _client(self) -> Any:
        if self._s3 is None:
            from stackctl.courier import objects

            self._s3 = objects.connected()
        return self._s3
