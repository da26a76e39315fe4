"""One round trip as a client would make it: write a run and an artifact, read both back, compare.

This module runs on the machine, and, piped into `python3`, inside a container of the stack, where
stackctl is not installed. So it needs nothing but the standard library, and botocore for S3.
It never prints a secret, and it takes none as an argument: inside a container it reads them from
`/run/secrets`.
"""

import base64
import contextlib
import functools
import http.client
import json
import secrets
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_SECONDS = 30


class RoundTripError(Exception):
    """A step of the round trip failed; the text names the step, the address and the answer.

    Attributes:
        status: With which HTTP status the server refused it; 0 where it did not answer.
        body: The beginning of what it said.
    """

    def __init__(self, told: str, status: int = 0, body: str = "") -> None:
        super().__init__(told)
        self.status, self.body = status, body


@dataclass(frozen=True)
class Address:
    """One way to the stack.

    Attributes:
        url: Where the tracking API answers, such as `http://127.0.0.1:5000`.
        host: The Host header to send, where it is not that of the URL: a public name.
        artifacts: Where the artifact proxy answers, where that is another server.
        s3: The object store's URL for clients that write there, "" for AWS itself.
        region: The bucket's region.
        direct: HOST:PORT at which is found what is called by the name of the URL; "" to look it up.
        trusted: A file of certificates that are trusted beside the machine's own; "" where none.
        transfers: Clients fetch and send large artifacts by addresses that a server signs.
        key: Tells checks of different artifact locations apart, which MLflow keeps for ever.
    """

    url: str
    host: str = ""
    artifacts: str = ""
    s3: str = ""
    region: str = ""
    direct: str = ""
    trusted: str = ""
    transfers: bool = False
    key: str = ""

    def __str__(self) -> str:
        return f"{self.url} as {self.host}" if self.host else self.url


@dataclass
class RoundTrip:
    """The round trip over one address.

    Args:
        address: Where to.
        secret: Gives the value of a secret by name; called only for those that are needed.
        login: The server asks for user and password.
        local: Called with (experiment id, run id) after the run was written, to check a store
            that clients use without a server.
    """

    address: Address
    secret: Callable[[str], str]
    login: bool = False
    local: Callable[[str, str], None] | None = None
    token: str = field(default_factory=lambda: secrets.token_hex(8))
    _asked: str = field(default="", init=False)

    def run(self) -> float:
        """Do it; returns the seconds it took.

        Raises:
            RoundTripError: A step failed, or what was read is not what was written.
        """
        start = time.monotonic()
        try:
            experiment = self._experiment()
            with self._finally("experiments/delete", {"experiment_id": experiment}):
                self._with_run(experiment)
        except (LookupError, TypeError, AttributeError) as error:
            raise RoundTripError(
                f"{self._asked}: the answer is not MLflow's ({type(error).__name__}: {error})"
            ) from error
        return time.monotonic() - start

    def _with_run(self, experiment: str) -> None:
        created = self._post(
            "runs/create",
            {
                "experiment_id": experiment,
                "start_time": int(time.time() * 1000),
                "tags": [{"key": "mlflow.runName", "value": "stackctl readiness"}],
            },
        )
        info = created["run"]["info"]
        run = info["run_id"]
        with self._finally("runs/delete", {"run_id": run}):
            self._post("runs/log-parameter", {"run_id": run, "key": "token", "value": self.token})
            metric = {"run_id": run, "key": "m", "value": 0.5, "timestamp": 1, "step": 1}
            self._post("runs/log-metric", metric)
            if self.local is not None:
                self.local(experiment, run)
            self._artifact(info["artifact_uri"], run)
            self._compare(run)

    def _compare(self, run: str) -> None:
        data = self._get("runs/get", {"run_id": run})["run"]["data"]
        params = {p["key"]: p["value"] for p in data.get("params", [])}
        metrics = {m["key"]: m["value"] for m in data.get("metrics", [])}
        if params.get("token") != self.token or metrics.get("m") != 0.5:
            raise RoundTripError(f"{self.address}: run {run} was read back with other values")
        if self.local is not None:
            tags = {t["key"]: t["value"] for t in data.get("tags", [])}
            if tags.get("stackctl.local") != "written by a client":
                raise RoundTripError(
                    f"{self.address}: a tag that a client wrote to the store is not seen here"
                )

    def _artifact(self, uri: str, run: str) -> None:
        content = f"stackctl {self.token}".encode()
        written = self._written_at(uri)
        written.write(content)
        try:
            if written.read() != content:
                raise RoundTripError(f"{self.address}: {written} was read back with other content")
            listed = self._get("artifacts/list", {"run_id": run}).get("files", [])
            if "readiness.txt" not in [item["path"] for item in listed]:
                raise RoundTripError(f"{self.address}: the server does not see {written}")
        finally:
            # Tidying up proves nothing: a store that keeps 24 bytes more is still usable.
            with contextlib.suppress(RoundTripError, OSError):
                written.delete()

    def _written_at(self, uri: str) -> "_Written":
        if uri.startswith("/"):
            return _File(Path(uri, "readiness.txt"))
        parsed = urllib.parse.urlparse(uri)
        path = f"{parsed.path.rstrip('/')}/readiness.txt"
        if parsed.scheme == "mlflow-artifacts":
            server = self.address.artifacts or self.address.url
            kind = _Signed if self.address.transfers else _Proxied
            return kind(self, f"{server}/api/2.0/mlflow-artifacts", path)
        if parsed.scheme == "s3":
            key = path.lstrip("/")
            if self.address.direct and self.address.s3.startswith("https:"):
                return _Keyed(self, parsed.netloc, key)
            return _Object(self, parsed.netloc, key)
        if parsed.scheme == "file":
            return _File(Path(urllib.parse.unquote(path)))
        raise RoundTripError(f"{self.address}: no client can write to {uri}")

    def _experiment(self) -> str:
        """The experiment of all checks, which is a deleted one between two of them."""
        name = f"stackctl readiness {self.address.key}".strip()
        try:
            found = self._get("experiments/get-by-name", {"experiment_name": name})["experiment"]
        except RoundTripError as error:
            if "RESOURCE_DOES_NOT_EXIST" not in str(error):
                raise
            return str(self._post("experiments/create", {"name": name})["experiment_id"])
        if found["lifecycle_stage"] == "deleted":
            self._post("experiments/restore", {"experiment_id": found["experiment_id"]})
        return str(found["experiment_id"])

    @contextlib.contextmanager
    def _finally(self, endpoint: str, body: dict[str, Any]) -> Iterator[None]:
        """Ask for this in the end; where that fails too, the first failure is the one told."""
        try:
            yield
        except BaseException:
            asked = self._asked
            with contextlib.suppress(RoundTripError):
                self._post(endpoint, body)
            self._asked = asked
            raise
        self._post(endpoint, body)

    def _get(self, endpoint: str, query: dict[str, str]) -> Any:
        return self._api("GET", f"{endpoint}?{urllib.parse.urlencode(query)}", None)

    def _post(self, endpoint: str, body: dict[str, Any]) -> Any:
        return self._api("POST", endpoint, json.dumps(body).encode())

    def _api(self, method: str, endpoint: str, body: bytes | None) -> Any:
        return self.ask(method, f"{self.address.url}/api/2.0/mlflow/{endpoint}", body)

    def ask(self, method: str, url: str, body: bytes | None) -> Any:
        """The JSON that a server of MLflow answers."""
        self._asked = f"{method} {url}"
        answer = self.request(method, url, body)
        try:
            return json.loads(answer)
        except ValueError as error:
            raise RoundTripError(f"{method} {url}: the answer is not JSON") from error

    def request(
        self, method: str, url: str, body: bytes | None, content_type: str = "application/json"
    ) -> bytes:
        """One HTTP request to a server of MLflow."""
        headers = {"Content-Type": content_type}
        if self.address.host:
            headers["Host"] = self.address.host
            headers["Origin"] = f"http://{self.address.host.removesuffix(':80')}"
        if self.login:
            pair = f"admin:{self.secret('admin_password')}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        return self.send(method, url, body, headers)[0]

    def send(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[bytes, Mapping[str, str]]:
        """One HTTP request to a service of the stack, past any proxy of the machine."""
        request = urllib.request.Request(  # noqa: S310
            url, data=body, method=method, headers=dict(headers)
        )
        # An address that was signed is as good as a password.
        url = url.partition("?")[0]
        try:
            with self._opener.open(request, timeout=_SECONDS) as answer:
                return bytes(answer.read()), answer.headers
        except urllib.error.HTTPError as error:
            said = error.read(16000).decode("utf-8", "replace")
            told = f"{method} {url}{self._as()}: {error.code} {said[:400]}".replace("\n", " ")
            raise RoundTripError(told, error.code, said) from error
        except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
            reason = getattr(error, "reason", None) or repr(error)
            raise RoundTripError(f"{method} {url}{self._as()}: {reason}") from error

    @functools.cached_property
    def _opener(self) -> urllib.request.OpenerDirector:
        """Made once: to read the authorities of the machine takes as long as many requests."""
        past_proxies = urllib.request.ProxyHandler({})
        if not self.address.url.startswith("https:"):
            return urllib.request.build_opener(past_proxies)
        context = ssl.create_default_context()
        if self.address.trusted:
            context.load_verify_locations(self.address.trusted)
            # It need not be an authority's.
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return urllib.request.build_opener(past_proxies, _Https(self.address, context))

    def _as(self) -> str:
        return f" (Host: {self.address.host})" if self.address.host else ""


class _Https(urllib.request.HTTPSHandler):
    """HTTPS with a host that is found at another address than its name says."""

    def __init__(self, address: Address, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self.named, self.context = urllib.parse.urlsplit(address.url), context
        host, _, port = address.direct.rpartition(":")
        self.host, self.port = host.strip("[]"), port

    def https_open(self, request: urllib.request.Request) -> http.client.HTTPResponse:
        asked = urllib.parse.urlsplit(request.full_url)
        if not self.host or asked.hostname != self.named.hostname:
            return super().https_open(request)
        # The other servers of that name are found at the ports that their addresses have.
        port = self.port if asked.port == self.named.port else asked.port or 443
        found, context = (self.host, port), self.context

        class Connection(http.client.HTTPSConnection):
            def connect(self) -> None:
                plain = socket.create_connection(found, self.timeout)
                self.sock = context.wrap_socket(plain, server_hostname=self.host)

        return self.do_open(Connection, request)


class _Written:
    """An artifact where a client puts it."""

    def write(self, content: bytes) -> None:
        raise NotImplementedError

    def read(self) -> bytes:
        raise NotImplementedError

    def delete(self) -> None:
        raise NotImplementedError


class _Proxied(_Written):
    def __init__(self, trip: RoundTrip, service: str, path: str) -> None:
        self.trip, self.service, self.path = trip, service, path
        self.url = f"{service}/artifacts{path}"

    def __str__(self) -> str:
        return self.url

    def write(self, content: bytes) -> None:
        self.trip.request("PUT", self.url, content, "application/octet-stream")

    def read(self) -> bytes:
        return self.trip.request("GET", self.url, None, "application/octet-stream")

    def delete(self) -> None:
        self.trip.request("DELETE", self.url, None, "application/octet-stream")


class _Signed(_Proxied):
    """By addresses that the server signs, as a client does with a large file (MLflow 3.17.2)."""

    def write(self, content: bytes) -> None:
        folder, _, name = self.path.rpartition("/")
        made = self._ask("mpu/create", folder, {"path": name, "num_parts": 1})
        part = made["credentials"][0]
        told = {"path": name, "upload_id": made["upload_id"]}
        try:
            _, headers = self.trip.send("PUT", part["url"], content, part.get("headers") or {})
            done = {"part_number": 1, "etag": headers["ETag"], "url": part["url"]}
            self._ask("mpu/complete", folder, {**told, "parts": [done]})
        except BaseException:
            with contextlib.suppress(RoundTripError):
                self._ask("mpu/abort", folder, told)
            raise

    def read(self) -> bytes:
        found = self.trip.ask("GET", f"{self.service}/presigned{self.path}", None)
        return self.trip.send("GET", found["url"], None, found.get("headers") or {})[0]

    def _ask(self, what: str, folder: str, body: dict[str, Any]) -> Any:
        return self.trip.ask("POST", f"{self.service}/{what}{folder}", json.dumps(body).encode())


class _File(_Written):
    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    def write(self, content: bytes) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_bytes(content)
        except OSError as error:
            raise RoundTripError(f"a client cannot write {self.path}: {error.strerror}") from error

    def read(self) -> bytes:
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise RoundTripError(f"a client cannot read {self.path}: {error.strerror}") from error

    def delete(self) -> None:
        self.path.unlink(missing_ok=True)


class _Object(_Written):
    def __init__(self, trip: RoundTrip, bucket: str, key: str) -> None:
        from botocore.config import Config
        from botocore.session import get_session

        self.bucket, self.key = bucket, key
        endpoint = trip.address.s3
        self.where = f"s3://{bucket}/{key} at {endpoint or 'AWS'}"
        self.client = get_session().create_client(
            "s3",
            endpoint_url=endpoint or None,
            region_name=trip.address.region,
            aws_access_key_id=trip.secret("s3_access_key"),
            aws_secret_access_key=trip.secret("s3_secret_key"),
            config=Config(
                connect_timeout=5,
                read_timeout=_SECONDS,
                proxies={} if endpoint else None,
                s3={"addressing_style": "path"} if endpoint else None,
            ),
        )

    def __str__(self) -> str:
        return self.where

    def write(self, content: bytes) -> None:
        self._call("put_object", Body=content)

    def read(self) -> bytes:
        return bytes(self._call("get_object")["Body"].read())

    def delete(self) -> None:
        self._call("delete_object")

    def _call(self, operation: str, **arguments: Any) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return getattr(self.client, operation)(Bucket=self.bucket, Key=self.key, **arguments)
        except (BotoCoreError, ClientError) as error:
            raise RoundTripError(f"{operation} {self.where}: {error}") from error


class _Keyed(_Written):
    """The same where the name of the store need not lead to it yet: botocore signs alone."""

    def __init__(self, trip: RoundTrip, bucket: str, key: str) -> None:
        self.trip, self.url = trip, f"{trip.address.s3}/{bucket}/{key}"

    def __str__(self) -> str:
        return self.url

    def write(self, content: bytes) -> None:
        self._send("PUT", content)

    def read(self) -> bytes:
        return self._send("GET")

    def delete(self) -> None:
        self._send("DELETE")

    def _send(self, method: str, content: bytes | None = None) -> bytes:
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        keys = Credentials(*(self.trip.secret(name) for name in ("s3_access_key", "s3_secret_key")))
        request = AWSRequest(method, self.url, data=content)
        S3SigV4Auth(keys, "s3", self.trip.address.region).add_auth(request)
        return self.trip.send(method, self.url, content, dict(request.headers))[0]


def main(job: str) -> None:
    """Inside a container: do the round trips of `job`, print one JSON line with the outcome."""
    wanted = json.loads(job)
    outcome: dict[str, Any] = {"seconds": []}
    for values in wanted["addresses"]:
        trip = RoundTrip(
            Address(**values),
            secret=lambda name: Path("/run/secrets", name).read_text(encoding="utf-8"),
            login=wanted["login"],
        )
        try:
            outcome["seconds"].append(trip.run())
        except RoundTripError as error:
            outcome["error"] = str(error)
            break
    print(json.dumps(outcome))
