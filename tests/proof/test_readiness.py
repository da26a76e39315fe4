"""Which addresses a stack is proved through, and how a refusal is told."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from stackctl.errors import NotReady
from stackctl.proof.readiness import outside, prove, server_version
from stackctl.runtimes.base import Inside, Runtime
from stackctl.runtimes.docker.runtime import Docker
from stackctl.runtimes.embedded.runtime import Embedded
from stackctl.scenario import Scenario
from stackctl.settings import Settings
from stackctl.stack import Home, Stack
from stackctl.stores import BACKENDS
from tests.bundles import deployment
from tests.mlflow_peer import Peer, Reply, serving


@dataclass
class HereRuntime:
    """Docker's way inside, but run on this machine; keeps the source that is sent there."""

    source: list[str] = field(default_factory=list)

    def inside(self, stack: Stack, scenario: Scenario, settings: Settings) -> Inside:
        """`SERVICE:5000`, which is not a name here."""
        return Inside(Docker().inside(stack, scenario, settings).way, self.run_python)

    def run_python(self, source: str) -> str:
        """In a Python without stackctl, as in a container."""
        self.source.append(source)
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-"], input=source, text=True, capture_output=True,
            check=False, timeout=60,
        )  # fmt: skip
        if done.returncode:
            raise NotReady(done.stderr.splitlines()[-1])
        return done.stdout


@pytest.fixture
def peer() -> Iterator[Peer]:
    with serving(Peer("mlflow-artifacts:")) as served:
        yield served


HOME = Home(Path("/nonexistent"))


def urls(name: str, *flags: str) -> list[str]:
    return [str(a) for a in outside(deployment(HOME, name, *flags))]


@pytest.mark.parametrize(
    ("flags", "addresses"),
    [
        ([], ["http://127.0.0.1:5000"]),
        (["bind=::1", "port=80"], ["http://[::1]"]),
        (["bind=0.0.0.0", "auth=basic"], ["http://127.0.0.1:5000"]),
        (["bind=::", "auth=basic"], ["http://[::1]:5000"]),
        (["bind=192.0.2.1", "auth=basic"], ["http://192.0.2.1:5000"]),
        (
            ["public_hosts=srv.lan,ml.example:8443"],
            [
                "http://127.0.0.1:5000",
                "http://127.0.0.1:5000 as srv.lan:5000",
                "http://127.0.0.1:5000 as ml.example:8443",
            ],
        ),
    ],
)
def test_the_published_address_is_used_under_every_public_name(
    flags: list[str], addresses: list[str]
) -> None:
    assert urls("scenario-5", *flags) == addresses


@pytest.mark.parametrize(
    ("name", "flags", "artifacts", "s3", "within"),
    [
        ("scenario-5", [], "", None, ("http://tracking:5000", "", "http://objects:8333")),
        ("scenario-1", [], "", None, ("http://ui:5000", "", "http://objects:8333")),
        (
            "scenario-6", [], "http://127.0.0.1:5016", None,
            ("http://tracking:5000", "http://artifacts:5000", "http://objects:8333"),
        ),
        (
            "scenario-4", [], "", "http://127.0.0.1:5014",
            ("http://tracking:5000", "", "http://objects:8333"),
        ),
        (
            "scenario-4", ["object_store=external"], "", "", ("http://tracking:5000", "", ""),
        ),
        (
            "scenario-4", ["object_store=external", "object_store_endpoint=https://s3.x"], "",
            "https://s3.x", ("http://tracking:5000", "", "https://s3.x"),
        ),
    ],
)  # fmt: skip
def test_servers_and_stores_have_one_address_outside_and_another_inside(
    home: Home,
    name: str,
    flags: list[str],
    artifacts: str,
    s3: str | None,
    within: tuple[str, str, str],
) -> None:
    one = deployment(home, name, *flags)
    (without,) = outside(one)
    assert without.artifacts == artifacts
    assert s3 is None or without.s3 == s3
    way = Docker().inside(one.stack, one.scenario, one.settings).way
    assert (str(way.server), str(way.artifacts or ""), way.objects) == within


def test_checks_of_different_artifact_places_use_different_experiments() -> None:
    """MLflow keeps an experiment's artifact location for ever."""
    variants = [(), ("bucket=other",), ("bind=::1",), ("public_hosts=a.example",),
                ("artifacts_port=5099",)]  # fmt: skip
    keys = [outside(deployment(HOME, "scenario-6", *flags))[0].key for flags in variants]
    assert len(set(keys)) == len(keys)
    assert outside(deployment(HOME, "scenario-6", "workers=5"))[0].key == keys[0]


def prove_peer(peer: Peer, home: Home, runtime: HereRuntime | Embedded, *flags: str) -> list[str]:
    """Prove a stack of scenario-5 whose published port is the peer's."""
    told: list[str] = []
    port = f"port={peer.url.rpartition(':')[2]}"
    one = deployment(home, "scenario-5", port, *flags, stack="one", runtime=cast(Runtime, runtime))
    one.secrets.ensure(["admin_password"])
    prove(one, told.append)
    return told


def test_the_published_address_alone_is_not_enough(peer: Peer, home: Home) -> None:
    """The service's name is proved too, and here it is nobody's."""
    runtime = HereRuntime()
    with pytest.raises(NotReady, match=r"GET http://tracking:5000/api/2\.0/mlflow/") as error:
        prove_peer(peer, home, runtime)
    assert error.value.exit_code == 3
    assert "POST experiments/delete" in peer.asked


def test_where_services_have_no_names_of_their_own_the_published_address_is_all(
    peer: Peer, home: Home
) -> None:
    (told,) = prove_peer(peer, home, Embedded())
    assert told.startswith(f"checked by use: {peer.url} (")
    assert "POST experiments/delete" in peer.asked


def test_no_secret_is_in_what_is_sent_into_the_container(peer: Peer, home: Home) -> None:
    runtime = HereRuntime()
    with pytest.raises(NotReady, match="/run/secrets/admin_password"):
        prove_peer(peer, home, runtime, "auth=basic")
    password = home.stack("one").secrets.read("admin_password").reveal()
    (source,) = runtime.source
    assert password not in source
    assert "Authorization" in peer.headers


@pytest.mark.parametrize(
    ("status", "body", "hint"),
    [
        (403, b"Invalid Host header", "name the host in the setting public_hosts"),
        (403, b"Cross-origin request blocked", "name the host in the setting public_hosts"),
        (401, b"You are not authenticated", "the login was refused: was .secrets changed"),
        (500, b"oops", "deploy with --no-check to keep it running, and see: stackctl logs"),
    ],
)
def test_a_refusal_is_told_with_step_address_and_what_to_do(
    peer: Peer, home: Home, status: int, body: bytes, hint: str
) -> None:
    peer.faults["POST runs/create"] = lambda _: Reply(status, body)
    with pytest.raises(NotReady) as error:
        prove_peer(peer, home, HereRuntime())
    assert error.value.message == (
        f"the stack runs but cannot be used: POST {peer.url}/api/2.0/mlflow/runs/create: "
        f"{status} {body.decode()}"
    )
    assert error.value.hint.startswith(hint)


@pytest.mark.parametrize("name", ["scenario-1", "scenario-2"])
def test_a_store_that_clients_cannot_use_is_told(name: str, peer: Peer, home: Home) -> None:
    """The server answers, but what a client without one would open is not there."""
    peer.root = str(home.path / "mlruns")
    flags = (f"port={peer.url.rpartition(':')[2]}", f"data={home.path}/data")
    one = deployment(home, name, *flags, runtime=cast(Runtime, HereRuntime()))
    with pytest.raises(NotReady, match=f"{home.path}/data"):
        prove(one, lambda line: None)


def test_the_file_store_is_read_and_written_as_a_client_does(tmp_path: Path) -> None:
    store = BACKENDS["files"]
    run = tmp_path / "mlruns" / "1" / "run0"
    (run / "params").mkdir(parents=True)
    (run / "params" / "token").write_text("größe")
    assert store.read_param(tmp_path, "1", "run0", "token") == "größe"
    assert store.read_param(tmp_path, "1", "run0", "other") is None
    store.write_tag(tmp_path, "1", "run0", "stackctl.local", "x y")
    assert (run / "tags" / "stackctl.local").read_text() == "x y"


@pytest.mark.parametrize(
    ("answer", "version"),
    [(b"3.17.2", "3.17.2"), (b"3.18.0rc1\n", "3.18.0rc1"), (b"<html>", ""), (b"", ""), (b"3", "")],
)
def test_the_servers_version_is_what_it_says_itself(
    peer: Peer, answer: bytes, version: str
) -> None:
    peer.version = answer
    port = f"port={peer.url.rpartition(':')[2]}"
    assert server_version(deployment(HOME, "scenario-5", port)) == version


def test_the_version_of_a_server_that_is_not_there_is_unknown(free_port: int) -> None:
    assert server_version(deployment(HOME, "scenario-5", f"port={free_port}")) == ""
