"""Every object of a bucket, as a tar stream out of it and into it, in constant memory."""

import io
import json
import os
import tarfile
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, BinaryIO

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from stackctl.courier import NOTES
from stackctl.courier.errors import CourierError
from stackctl.courier.places import plain
from stackctl.courier.verbs import Verb

_CHUNK = 1 << 20
_AT_ONCE = 8
# Up to this size an object is in memory as a whole, _AT_ONCE of them.
_SMALL = 4 << 20
_PART = 16 << 20
# S3 allows 10,000 parts of an object.
_PARTS = 9_000


def measure(job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, Any]:
    """How many objects there are, and their size: `{"objects": 2, "bytes": 5, "odd": ""}`.

    Only those whose keys begin with one of `prefixes`, where the job has them. `odd` is a key that
    is no plain path, where there is one.
    """
    count, total, odd = 0, 0, ""
    for key, size, _ in _chosen(connected(), job):
        count, total = count + 1, total + size
        odd = odd or ("" if plain(key) else key)
    return {"objects": count, "bytes": total, "odd": odd}


def write_names(job: dict[str, Any], _in: BinaryIO, out: BinaryIO) -> None:
    """The key of every object of `bucket`, as lines of JSON."""
    for key, _, _ in listed(connected(), job["bucket"]):
        out.write(json.dumps(key).encode() + b"\n")


def write_all(job: dict[str, Any], _in: BinaryIO, out: BinaryIO) -> None:
    """Every object of `bucket`, or of `prefixes` in it, as tar members named by their keys."""
    client, gone = connected(), []
    with (
        tarfile.open(fileobj=out, mode="w|", bufsize=_CHUNK, format=tarfile.PAX_FORMAT) as tar,
        ThreadPoolExecutor(_AT_ONCE) as pool,
    ):
        tar.copybufsize = _CHUNK  # type: ignore[attr-defined]
        for key, modified, answer in _fetched(client, job, pool):
            if answer is None:
                gone.append(key)
                continue
            info = tarfile.TarInfo(key)
            info.size, info.mtime = answer[0], int(modified)
            tar.addfile(info, answer[1])
        notes = json.dumps([f"object {key!r} was deleted meanwhile" for key in gone]).encode()
        info = tarfile.TarInfo(NOTES)
        info.size = len(notes)
        tar.addfile(info, io.BytesIO(notes))


def read_all(job: dict[str, Any], source: BinaryIO, _out: BinaryIO) -> dict[str, int]:
    """Put every member of a tar stream into `bucket`; one of the same key is replaced.

    With `{"skip": true}` an object that is there with the same size is left as it is.
    """
    client, bucket = connected(), job["bucket"]
    there = {key: size for key, size, _ in listed(client, bucket)} if job.get("skip") else {}
    count = size = 0
    with (
        tarfile.open(fileobj=source, mode="r|", bufsize=_CHUNK) as tar,
        ThreadPoolExecutor(_AT_ONCE) as pool,
    ):
        waiting: deque[Future[Any]] = deque()
        for info in tar:
            content = tar.extractfile(info)
            if content is None or there.get(info.name) == info.size:
                continue
            count, size = count + 1, size + info.size
            if info.size > _SMALL:
                _put_large(client, bucket, info.name, info.size, content)
                continue
            if len(waiting) == _AT_ONCE:
                waiting.popleft().result()
            waiting.append(
                pool.submit(client.put_object, Bucket=bucket, Key=info.name, Body=content.read())
            )
        for put in waiting:
            put.result()
    return {"objects": count, "bytes": size}


def clear(job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, int]:
    """Delete every object of `bucket`."""
    client, count = connected(), 0
    for key, _, _ in list(listed(client, job["bucket"])):
        # One at a time: not every store knows the call for many.
        client.delete_object(Bucket=job["bucket"], Key=key)
        count += 1
    return {"objects": count}


def taken(job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, list[bool]]:
    """Which of `keys`, pairs of access key and secret key, the store takes: `{"taken": [true]}`."""
    return {"taken": [_opens(job["bucket"], *keys) for keys in job["keys"]]}


VERBS: dict[str, Verb] = {
    "objects-measure": measure,
    "objects-names": write_names,
    "objects-out": write_all,
    "objects-in": read_all,
    "objects-clear": clear,
    "objects-taken": taken,
}


def connected(**keys: str) -> Any:
    """A client of the stack's object store; with its own keys, where no others are given."""
    endpoint = os.environ.get("MLFLOW_S3_ENDPOINT_URL")
    style = {"addressing_style": "path"} if endpoint else {}
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        config=Config(s3=style, max_pool_connections=_AT_ONCE + 2, retries={"mode": "standard"}),
        **keys,
    )


def _opens(bucket: str, access: str, secret: str) -> bool:
    client = connected(aws_access_key_id=access, aws_secret_access_key=secret)
    try:
        client.list_objects_v2(Bucket=bucket, MaxKeys=1)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (401, 403):
            return False
        raise CourierError(f"bucket {bucket} cannot be listed: {error}") from error
    return True


def listed(client: Any, bucket: str, prefix: str = "") -> Iterator[tuple[str, int, float]]:
    """Key, size in bytes and time of change of each object whose key begins with `prefix`."""
    pages = client.get_paginator("list_objects_v2")
    try:
        for page in pages.paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", ()):
                yield found["Key"], found["Size"], found["LastModified"].timestamp()
    except ClientError as error:
        raise CourierError(f"bucket {bucket} cannot be listed: {error}") from error


def _chosen(client: Any, job: dict[str, Any]) -> Iterator[tuple[str, int, float]]:
    """As `listed`, of each of the job's prefixes; without those that only stand for folders."""
    if "prefixes" not in job:
        yield from listed(client, job["bucket"])
        return
    for prefix in job["prefixes"]:
        for key, size, modified in listed(client, job["bucket"], prefix):
            if size or not key.endswith("/"):
                yield key, size, modified


def _fetched(
    client: Any, job: dict[str, Any], pool: ThreadPoolExecutor
) -> Iterator[tuple[str, float, tuple[int, BinaryIO] | None]]:
    """Each object in the listing's order, small ones asked for ahead; None where it is gone."""
    waiting: deque[tuple[str, float, Future[tuple[int, BinaryIO] | None]]] = deque()
    for key, size, modified in _chosen(client, job):
        fetch = _fetch_whole if size <= _SMALL else _fetch
        waiting.append((key, modified, pool.submit(fetch, client, job["bucket"], key)))
        while len(waiting) >= _AT_ONCE or (waiting and size > _SMALL):
            key_, modified_, future = waiting.popleft()
            yield key_, modified_, future.result()
    for key, modified, future in waiting:
        yield key, modified, future.result()


def _fetch(client: Any, bucket: str, key: str) -> tuple[int, BinaryIO] | None:
    """Size and stream of one object, as they are at this moment."""
    try:
        answer = client.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
            return None
        raise CourierError(f"object {key!r} cannot be read: {error}") from error
    return answer["ContentLength"], answer["Body"]


def _fetch_whole(client: Any, bucket: str, key: str) -> tuple[int, BinaryIO] | None:
    found = _fetch(client, bucket, key)
    return None if found is None else (found[0], io.BytesIO(found[1].read()))


def _put_large(client: Any, bucket: str, key: str, size: int, content: Any) -> None:
    part_size = max(_PART, -(-size // _PARTS))
    upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    where = {"Bucket": bucket, "Key": key, "UploadId": upload}
    try:
        parts: list[dict[str, Any]] = []
        while chunk := content.read(part_size):
            number = len(parts) + 1
            done = client.upload_part(**where, PartNumber=number, Body=chunk)
            parts.append({"PartNumber": number, "ETag": done["ETag"]})
        client.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    except BaseException:
        client.abort_multipart_upload(**where)
        raise
