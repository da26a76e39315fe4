"""An HTTP server that speaks as much MLflow as the round trip asks for, and can misbehave.

It stands where MLflow stands, and nowhere else: the real one is in tests/docker.
"""

import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

API = "/api/2.0/mlflow/"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"
SIGNING = "/api/2.0/mlflow-artifacts/"
# What it signed, whoever asks for that.
BUCKET = "/bucket"
ETAG = '"e"'


@dataclass
class Reply:
    """What is sent, as bytes; `stop` closes the connection after so many of them."""

    status: int
    body: bytes
    stop: int | None = None


Fault = Callable[[Reply], Reply]


@dataclass
class Peer:
    """What the server knows, what it was asked, and how it misbehaves.

    Attributes:
        root: The artifact location of its one experiment.
        faults: By `METHOD endpoint`: what becomes of the reply.
        dead_after: It drops every connection once this was asked.
        asked: `METHOD endpoint` of every request.
        headers: Of the last request.
    """

    root: str
    faults: dict[str, Fault] = field(default_factory=dict)
    dead_after: str = ""
    asked: list[str] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    experiments: dict[str, dict[str, str]] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    artifacts: dict[str, bytes] = field(default_factory=dict)
    listed: list[str] | None = None
    version: bytes = b"3.17.2"
    url: str = ""

    def answer(self, method: str, target: str, body: bytes) -> Reply:
        """The reply to one request, as MLflow 3.17 gives it."""
        parts = urlsplit(target)
        if parts.path.startswith(ARTIFACTS):
            return self._artifact(method, parts.path.removeprefix(ARTIFACTS), body)
        if parts.path.startswith(SIGNING):
            return self._signed(parts.path.removeprefix(SIGNING), body)
        if parts.path.startswith(BUCKET):
            return self._artifact(method, parts.path.removeprefix(BUCKET), body)
        if parts.path == "/version":
            return Reply(200, self.version)
        if not parts.path.startswith(API):
            return Reply(404, b"")
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        values = query or json.loads(body)
        found = self._entity(parts.path.removeprefix(API), values)
        if found is None:
            error = {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "no such thing"}
            return Reply(404, json.dumps(error).encode())
        return Reply(200, json.dumps(found).encode())

    def _entity(self, endpoint: str, values: dict[str, Any]) -> dict[str, Any] | None:
        match endpoint:
            case "experiments/get-by-name":
                found = self.experiments.get(values["experiment_name"])
                return {"experiment": found} if found else None
            case "experiments/create":
                number = str(len(self.experiments) + 1)
                self.experiments[values["name"]] = {
                    "experiment_id": number,
                    "lifecycle_stage": "active",
                }
                return {"experiment_id": number}
            case "experiments/restore" | "experiments/delete":
                for found in self.experiments.values():
                    if found["experiment_id"] == values["experiment_id"]:
                        restored = endpoint.endswith("restore")
                        found["lifecycle_stage"] = "active" if restored else "deleted"
                return {}
            case "runs/create":
                run = f"run{len(self.runs)}"
                self.runs[run] = {"params": [], "metrics": [], "tags": values["tags"]}
                uri = f"{self.root}/{values['experiment_id']}/{run}/artifacts"
                return {"run": {"info": {"run_id": run, "artifact_uri": uri}}}
            case "runs/log-parameter" | "runs/log-metric":
                kind = "params" if endpoint.endswith("parameter") else "metrics"
                self.runs[values["run_id"]][kind].append(values)
                return {}
            case "runs/get":
                return {"run": {"data": self.runs[values["run_id"]]}}
            case "runs/delete":
                self.runs[values["run_id"]]["deleted"] = True
                return {}
            case "artifacts/list":
                names = ["readiness.txt"] if self.listed is None else self.listed
                return {"files": [{"path": name} for name in names]} if names else {}
        return None

    def _signed(self, path: str, body: bytes) -> Reply:
        """Addresses of one part and of a download; nothing is there before it is completed."""
        what, _, rest = path.partition("/")
        if what == "presigned":
            return Reply(200, json.dumps({"url": f"{self.url}{BUCKET}/{rest}?signed"}).encode())
        doing, _, folder = rest.partition("/")
        told = json.loads(body)
        part = f"{BUCKET}/{folder}/{told['path']}"
        if doing == "create":
            answer = {"upload_id": "u", "credentials": [{"url": f"{self.url}{part}?signed",
                                                         "part_number": 1}]}  # fmt: skip
            return Reply(200, json.dumps(answer).encode())
        if doing == "abort":
            self.artifacts.pop(part.removeprefix(BUCKET), None)
            return Reply(200, b"{}")
        known = told["upload_id"] == "u" and told["parts"][0]["etag"] == ETAG
        return Reply(200 if known else 400, b"{}")

    def _artifact(self, method: str, path: str, body: bytes) -> Reply:
        if method == "PUT":
            self.artifacts[path] = body
        elif path not in self.artifacts:
            return Reply(404, b'{"error_code": "RESOURCE_DOES_NOT_EXIST"}')
        elif method == "DELETE":
            del self.artifacts[path]
        return Reply(200, self.artifacts.get(path, b"{}"))


def _called(path: str) -> str:
    if path.startswith(API):
        return path.removeprefix(API)
    if path.startswith(ARTIFACTS):
        return "artifact"
    if path.startswith(SIGNING):
        return "/".join(path.removeprefix(SIGNING).split("/")[: 2 if "/mpu/" in path else 1])
    return "object" if path.startswith(BUCKET) else "artifact"


def _unchanged(reply: Reply) -> Reply:
    return reply


def _handler(peer: Peer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = urlsplit(self.path).path
            what = f"{self.command} {_called(path)}"
            if peer.dead_after and peer.dead_after in peer.asked:
                self.close_connection = True
                return
            peer.asked.append(what)
            peer.headers = dict(self.headers)
            reply = peer.answer(self.command, self.path, body)
            reply = (peer.faults.get(what) or _unchanged)(reply)
            self.send_response(reply.status)
            self.send_header("Content-Length", str(len(reply.body)))
            self.send_header("ETag", ETAG)
            self.end_headers()
            self.wfile.write(reply.body[: reply.stop])

        do_GET = do_POST = do_PUT = do_DELETE = do  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing: the tests' output is for failures."""

    return Handler


@contextmanager
def serving(peer: Peer, tls: ssl.SSLContext | None = None) -> Iterator[Peer]:
    """Serve on a free port of 127.0.0.1."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _handler(peer)) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        peer.url = f"http{'s' * bool(tls)}://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.005,))
        thread.start()
        try:
            yield peer
        finally:
            server.shutdown()
            thread.join()
