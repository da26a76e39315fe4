"""The round trip: silent where all is well, and where it is not it names step and address."""

import base64
import inspect
import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from stackctl.proof import roundtrip
from stackctl.proof.roundtrip import Address, RoundTrip, RoundTripError
from tests.contract.https import Authority
from tests.mlflow_peer import Fault, Peer, Reply, serving

PASSWORD = "pässword-of-admin"
STEPS = [
    "GET experiments/get-by-name", "POST experiments/create", "POST runs/create",
    "POST runs/log-parameter", "POST runs/log-metric", "PUT artifact", "GET artifact",
    "GET artifacts/list", "DELETE artifact", "GET runs/get", "POST runs/delete",
    "POST experiments/delete",
]  # fmt: skip


@pytest.fixture
def peer() -> Iterator[Peer]:
    """A well-behaved server with an artifact proxy."""
    with serving(Peer("mlflow-artifacts:")) as served:
        yield served


def no_secret(name: str) -> str:
    raise AssertionError(f"nobody needs {name} here")


def trip(peer: Peer, **address: Any) -> RoundTrip:
    return RoundTrip(Address(peer.url, **address), secret=no_secret)


def answers(status: int, body: bytes) -> Fault:
    return lambda _: Reply(status, body)


def says(old: str, new: str) -> Fault:
    def changed(reply: Reply) -> Reply:
        assert old in reply.body.decode()
        return Reply(reply.status, reply.body.decode().replace(old, new).encode())

    return changed


def url_of(peer: Peer, step: str) -> str:
    """`METHOD URL` as an error names it, without a query."""
    method, endpoint = step.split(" ")
    folder = "mlflow-artifacts/artifacts" if endpoint == "artifact" else f"mlflow/{endpoint}"
    return f"{method} {peer.url}/api/2.0/{folder}"


def test_every_step_is_made_in_order_and_cleaned_up(peer: Peer) -> None:
    assert trip(peer).run() < 30
    assert peer.asked == STEPS
    assert peer.artifacts == {}
    assert all(run["deleted"] for run in peer.runs.values())
    assert [e["lifecycle_stage"] for e in peer.experiments.values()] == ["deleted"]


def test_a_second_round_trip_uses_the_same_experiment(peer: Peer) -> None:
    trip(peer, key="a").run()
    trip(peer, key="a").run()
    trip(peer, key="b").run()
    assert list(peer.experiments) == ["stackctl readiness a", "stackctl readiness b"]
    assert peer.asked.count("POST experiments/restore") == 1


def test_an_artifacts_only_server_gets_the_artifacts(peer: Peer) -> None:
    with serving(Peer("")) as other:
        trip(peer, artifacts=other.url).run()
        assert other.asked == ["PUT artifact", "GET artifact", "DELETE artifact"]
        assert "PUT artifact" not in peer.asked


def test_a_public_name_is_sent_as_host_and_origin(peer: Peer) -> None:
    trip(peer, host="mlflow.example:8443").run()
    assert peer.headers["Host"] == "mlflow.example:8443"
    assert peer.headers["Origin"] == "http://mlflow.example:8443"
    assert "Authorization" not in peer.headers


def test_a_name_is_found_where_its_stack_listens(tmp_path: Path) -> None:
    """Behind a router that leads 443 to another; the artifacts server has a port of its own."""
    authority, files = Authority.new(), (tmp_path / "shown.pem", tmp_path / "key.pem")
    for file, content in zip(files, authority.issue("ml.example.org"), strict=True):
        file.write_text(content)
    (trusted := tmp_path / "ca.pem").write_text(authority.certificate)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*files)
    name = "https://ml.example.org"
    with serving(Peer("mlflow-artifacts:"), tls) as peer, serving(Peer(""), tls) as other:
        direct, beside = (found.url.removeprefix("https://") for found in (peer, other))
        address = Address(name, direct=direct, trusted=str(trusted))
        RoundTrip(address, secret=no_secret).run()
        assert peer.asked == STEPS
        assert peer.headers["Host"] == "ml.example.org"
        artifacts = f"{name}:{beside.rpartition(':')[2]}"
        RoundTrip(replace(address, artifacts=artifacts), secret=no_secret).run()
        assert other.asked == ["PUT artifact", "GET artifact", "DELETE artifact"]


SIGNED = ["POST mpu/create", "PUT object", "POST mpu/complete", "GET presigned", "GET object"]


def test_signed_addresses_are_used_where_clients_use_them(peer: Peer) -> None:
    address = Address(peer.url, transfers=True)
    RoundTrip(address, secret={"admin_password": PASSWORD}.__getitem__, login=True).run()
    assert peer.asked[5:10] == SIGNED
    assert peer.artifacts == {}


def test_nobody_else_gets_the_password(peer: Peer) -> None:
    """Whoever keeps the objects has the address, and needs no more."""
    sent: list[str] = []

    def seen(reply: Reply) -> Reply:
        sent.extend(peer.headers)
        return reply

    peer.faults = {"PUT object": seen, "GET object": seen}
    address = Address(peer.url, transfers=True)
    RoundTrip(address, secret={"admin_password": PASSWORD}.__getitem__, login=True).run()
    assert sent
    assert "Authorization" not in sent


@pytest.mark.parametrize("step", SIGNED)
def test_a_refused_step_of_a_signed_transfer_is_named(peer: Peer, step: str) -> None:
    peer.faults = {step: answers(403, b"no")}
    with pytest.raises(RoundTripError, match=r": 403 no") as refused:
        trip(peer, transfers=True).run()
    assert "?signed" not in str(refused.value)
    if step in SIGNED[1:3]:
        assert "POST mpu/abort" in peer.asked


def test_a_login_is_sent_only_where_the_server_asks_for_one(peer: Peer) -> None:
    RoundTrip(Address(peer.url), secret={"admin_password": PASSWORD}.__getitem__, login=True).run()
    scheme, _, pair = peer.headers["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(pair).decode()) == ("Basic", f"admin:{PASSWORD}")


def test_a_proxy_of_the_machine_is_passed_by(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    trip(peer).run()
    assert peer.asked == STEPS


# Misbehaviour.


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (answers(403, b"Invalid Host header"), "403 Invalid Host header"),
        (answers(500, b"<html>\nInternal\nServer Error"), "500 <html> Internal Server Error"),
        (answers(401, b"You are not authenticated"), "401 You are not authenticated"),
    ],
    ids=["403", "500", "401"],
)
def test_a_refused_step_is_named(peer: Peer, step: str, fault: Fault, reason: str) -> None:
    peer.faults[step] = fault
    if step == "DELETE artifact":
        trip(peer).run()
        return
    with pytest.raises(RoundTripError) as error:
        trip(peer).run()
    assert str(error.value).startswith(url_of(peer, step))
    assert reason in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("step", [step for step in STEPS if not step.endswith(" artifact")])
@pytest.mark.parametrize(
    "body",
    [b"<html>a login page</html>", b"", b"\xff\xfe", b"{"],
    ids=["html", "empty", "bytes", "cut"],
)
def test_an_answer_that_is_not_json_is_named(peer: Peer, step: str, body: bytes) -> None:
    peer.faults[step] = answers(200, body)
    with pytest.raises(RoundTripError, match="the answer is not JSON") as error:
        trip(peer).run()
    assert str(error.value).startswith(url_of(peer, step))


@pytest.mark.parametrize(
    "step",
    ["GET experiments/get-by-name", "POST runs/create", "GET artifacts/list", "GET runs/get"],
)
@pytest.mark.parametrize("body", [b"[]", b"null", b"3", b'"text"', b'{"files": [3], "run": null}'])
def test_json_of_something_else_is_named(peer: Peer, step: str, body: bytes) -> None:
    peer.faults[step] = answers(200, body)
    with pytest.raises(RoundTripError, match="not MLflow's") as error:
        trip(peer).run()
    assert str(error.value).startswith(url_of(peer, step))


@pytest.mark.parametrize(
    ("step", "fault", "reason"),
    [
        ("GET runs/get", says('"key": "token", "value": "', '"key": "token", "value": "0'),
         "was read back with other values"),
        ("GET runs/get", says('"value": 0.5', '"value": 0.25'), "was read back with other values"),
        ("GET runs/get", says('"params"', '"lost"'), "was read back with other values"),
        ("GET artifact", says("stackctl", "Stackctl"), "was read back with other content"),
        ("GET artifact", answers(200, b""), "was read back with other content"),
        ("GET artifact", answers(404, b"{}"), ": 404 "),
        ("GET artifacts/list", says("readiness", "other"), "the server does not see"),
        ("GET artifacts/list", answers(200, b"{}"), "the server does not see"),
        ("POST runs/create", says("mlflow-artifacts:", "dbfs:"), "no client can write to dbfs:"),
    ],
)  # fmt: skip
def test_what_was_written_must_be_read_back(
    peer: Peer, step: str, fault: Fault, reason: str
) -> None:
    peer.faults[step] = fault
    with pytest.raises(RoundTripError) as error:
        trip(peer).run()
    assert reason in str(error.value)
    assert peer.url in str(error.value)
    assert peer.asked[-2:] == ["POST runs/delete", "POST experiments/delete"]


def test_a_lost_artifact_is_noticed(peer: Peer) -> None:
    def losing(reply: Reply) -> Reply:
        peer.artifacts.clear()
        return reply

    peer.faults["PUT artifact"] = losing
    with pytest.raises(RoundTripError, match=r"GET .*/readiness\.txt: 404"):
        trip(peer).run()


@pytest.mark.parametrize("step", STEPS[:-1])
def test_of_a_server_that_dies_the_first_failed_step_is_named(peer: Peer, step: str) -> None:
    peer.dead_after = step
    following = STEPS[STEPS.index(step) + 1]
    if following == "DELETE artifact":
        following = "GET runs/get"
    with pytest.raises(RoundTripError) as error:
        trip(peer).run()
    assert str(error.value).startswith(url_of(peer, following))


def test_an_answer_that_breaks_off_is_named(peer: Peer) -> None:
    peer.faults["GET runs/get"] = lambda reply: Reply(200, reply.body, stop=10)
    with pytest.raises(RoundTripError, match="IncompleteRead") as error:
        trip(peer).run()
    assert str(error.value).startswith(url_of(peer, "GET runs/get"))


@contextmanager
def raw_server(answer: bytes) -> Iterator[str]:
    """A server that is not HTTP: it sends `answer` and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.9\r\n", b"\0" * 100, b""])
def test_a_port_that_does_not_speak_http_is_named(answer: bytes) -> None:
    with raw_server(answer) as url, pytest.raises(RoundTripError) as error:
        RoundTrip(Address(url), secret=no_secret).run()
    assert str(error.value).startswith(f"GET {url}/api/2.0/mlflow/experiments/get-by-name")


def test_a_port_on_which_nobody_listens_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(RoundTripError, match="Connection refused") as error:
        RoundTrip(Address(url), secret=no_secret).run()
    assert url in str(error.value)


# Stores that clients write themselves.


@pytest.mark.parametrize("scheme", ["", "file://"])
@pytest.mark.parametrize("folder", ["plain", "my stacks", "#1?x=y", "größe %41"])
def test_a_local_folder_is_written_by_the_client_itself(
    tmp_path: Path, folder: str, scheme: str
) -> None:
    root = f"{tmp_path / folder}" if not scheme else (tmp_path / folder).as_uri()
    seen: list[tuple[Path, str]] = []

    def look(reply: Reply) -> Reply:
        seen.extend((path, path.read_text()) for path in tmp_path.rglob("readiness.txt"))
        return reply

    with serving(Peer(root)) as peer:
        peer.faults["GET artifacts/list"] = look
        wanted = trip(peer)
        wanted.run()
    assert seen == [
        (tmp_path / folder / "1/run0/artifacts/readiness.txt", f"stackctl {wanted.token}")
    ]
    assert not seen[0][0].exists()
    assert not [step for step in peer.asked if step.endswith(" artifact")]


def test_a_local_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with serving(Peer(str(tmp_path / "file"))) as peer, pytest.raises(RoundTripError) as error:
        trip(peer).run()
    assert f"a client cannot write {tmp_path}/file/1/run0/artifacts/readiness.txt" in str(
        error.value
    )


def test_a_client_without_a_server_takes_part_where_there_is_one(peer: Peer) -> None:
    calls: list[tuple[str, str]] = []

    def local(experiment: str, run: str) -> None:
        calls.append((experiment, run))
        peer.runs[run]["tags"].append({"key": "stackctl.local", "value": "written by a client"})

    RoundTrip(Address(peer.url), secret=no_secret, local=local).run()
    assert calls == [("1", "run0")]


def test_a_tag_that_the_server_does_not_see_is_told(peer: Peer) -> None:
    wanted = RoundTrip(Address(peer.url), secret=no_secret, local=lambda experiment, run: None)
    with pytest.raises(RoundTripError, match="a tag that a client wrote to the store is not seen"):
        wanted.run()


# S3, against a server that refuses everything; the real stores are in tests/docker.


def test_an_object_store_that_refuses_is_named_without_the_keys(tmp_path: Path) -> None:
    keys = {"s3_access_key": "access-key", "s3_secret_key": "secret-key-of-ada"}
    with serving(Peer("s3://mlflow/artifacts")) as peer, serving(Peer("")) as store:
        store.faults["PUT artifact"] = answers(403, b"<Error><Code>AccessDenied</Code></Error>")
        address = Address(peer.url, s3=store.url, region="us-east-1")
        with pytest.raises(RoundTripError, match="AccessDenied") as error:
            RoundTrip(address, secret=keys.__getitem__).run()
    told = str(error.value)
    assert told.startswith(
        f"put_object s3://mlflow/artifacts/1/run0/artifacts/readiness.txt at {store.url}: "
    )
    assert not any(value in told for value in keys.values())


# As it is sent into a container: source on standard input, no stackctl, one JSON line back.


def piped(*addresses: Address) -> dict[str, object]:
    job = json.dumps({"addresses": [asdict(address) for address in addresses], "login": False})
    source = f"{inspect.getsource(roundtrip)}\nmain({job!r})\n"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-"], input=source, capture_output=True, text=True,
        check=True, timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    return dict(json.loads(done.stdout))


def test_the_source_alone_makes_the_round_trip_with_the_standard_library(peer: Peer) -> None:
    outcome = piped(Address(peer.url), Address(peer.url, host="it's.example"))
    assert "error" not in outcome
    seconds = outcome["seconds"]
    assert isinstance(seconds, list)
    assert len(seconds) == 2


def test_the_source_alone_tells_which_address_failed(peer: Peer) -> None:
    peer.faults["POST runs/create"] = answers(403, b"Invalid Host header")
    outcome = piped(Address(peer.url))
    assert outcome["seconds"] == []
    assert (
        outcome["error"] == f"POST {peer.url}/api/2.0/mlflow/runs/create: 403 Invalid Host header"
    )
