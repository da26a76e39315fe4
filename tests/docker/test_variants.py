"""Settings that change how a stack runs, each proved by use."""

import json
import os
import socket
import stat
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import docker
import pytest

from stackctl.versions import DEFAULT_IMAGES
from tests.contract import own_words
from tests.contract.driving import ONE_WORKER, Deployed, User, free_port, until, words
from tests.docker.machine import DockerMachine
from tests.engine.inside import run_inside

HOSTILE = "@:/%#?&'\"$ü\\ é"


def matrix(scenario: str) -> Any:
    """A scenario that only `make test-matrix` shows here."""
    return pytest.param(scenario, marks=pytest.mark.matrix)


def status(url: str, **headers: str) -> int:
    request = urllib.request.Request(url, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize(
    ("scenario", "secret"),
    [("scenario-5", "postgres_password"), ("scenario-5-mysql", "mysql_password")],
)
@pytest.mark.matrix
def test_any_password_works(person: User, name: str, scenario: str, secret: str) -> None:
    folder = person.home / ".secrets" / name
    folder.mkdir(parents=True, mode=0o700)
    folder.parent.chmod(0o700)
    (folder / secret).touch(mode=0o600)
    (folder / secret).write_text(HOSTILE)
    person.ok(*words(scenario, name, *ONE_WORKER))
    assert (folder / secret).read_text() == HOSTILE
    assert person.show(name)["state"] == "running"


@pytest.mark.matrix
def test_another_object_store_serves_as_well(
    machine: DockerMachine, person: User, name: str
) -> None:
    person.ok(*words("scenario-5", name, "--set", "object_store=minio", *ONE_WORKER))
    assert "minio" in machine.containers(name)["objects"].attrs["Config"]["Image"]
    person.client("write", name)
    person.client("read", name)


@pytest.mark.matrix
def test_external_object_store_is_used_and_its_bucket_never_made(
    machine: DockerMachine, person: User, name: str, external: "ExternalStore"
) -> None:
    folder = person.home / ".secrets" / name
    folder.mkdir(parents=True, mode=0o700)
    folder.parent.chmod(0o700)
    for key, value in (("s3_access_key", external.key), ("s3_secret_key", external.secret)):
        (folder / key).touch(mode=0o600)
        (folder / key).write_text(value)
    deploy = words("scenario-4", name, "--set", "object_store=external",
                   "--set", f"object_store_endpoint={external.url}", *ONE_WORKER)  # fmt: skip
    done = person.run(*deploy)
    assert done.returncode == 3
    assert "service bucket" in done.stderr
    external.client().create_bucket(Bucket="mlflow")
    person.ok(*deploy)
    assert "objects" not in machine.containers(name)
    person.client("write", name)
    person.client("read", name)
    kept = external.client().list_objects_v2(Bucket="mlflow")["Contents"]
    person.ok("remove", name, "--volumes", "--confirm", name)
    assert external.client().list_objects_v2(Bucket="mlflow")["Contents"] == kept


@dataclass(frozen=True)
class ExternalStore:
    """An object store that no stack owns, at an address that machine and containers reach."""

    url: str
    key: str = "external-key"
    secret: str = "external-secret"

    def client(self) -> Any:
        return boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1",
            aws_access_key_id=self.key, aws_secret_access_key=self.secret,
        )  # fmt: skip


@pytest.fixture
def external(daemon: docker.DockerClient, outside: str) -> Iterator[ExternalStore]:
    s3 = free_port()
    store = ExternalStore(f"http://{outside}:{s3}")
    flags = [f"-{part}.port{kind}={free_port()}" for part in ("master", "volume", "filer", "admin")
             for kind in ("", ".grpc")]  # fmt: skip
    container = daemon.containers.run(
        DEFAULT_IMAGES["seaweedfs"],
        ["mini", "-dir=/data", f"-ip={outside}", f"-ip.bind={outside}", f"-s3.port={s3}",
         f"-s3.port.grpc={free_port()}", "-s3.port.iceberg=0", "-s3.port.lance=0",
         "-webdav=false", "-admin.ui=false", "-master.telemetry=false", *flags],
        environment={"AWS_ACCESS_KEY_ID": store.key, "AWS_SECRET_ACCESS_KEY": store.secret},
        network_mode="host", detach=True, labels={"io.stackctl.test": "1"},
    )  # fmt: skip
    try:
        until(lambda: answers(f"{store.url}/healthz"), seconds=30, what="the store answers")
        yield store
    finally:
        container.remove(force=True, v=True)


def answers(url: str) -> bool:
    try:
        return status(url) == 200
    except OSError:
        return False


@pytest.mark.matrix
@pytest.mark.parametrize("scenario", ["scenario-3b", "scenario-5", "scenario-6"])
def test_login_is_asked_for(person: User, name: str, scenario: str) -> None:
    deploy = words(scenario, name, "--set", "auth=basic")
    person.ok(*deploy)
    url = f"http://127.0.0.1:{deploy[5]}/api/2.0/mlflow/experiments/search?max_results=1"
    assert status(url) == 401
    users = person.home / "data" / name / "users.db"
    if users.exists():
        assert stat.S_IMODE(users.stat().st_mode) == 0o600
    person.client("write", name)
    person.client("read", name)


def test_public_names_are_answered_and_others_refused(person: User, name: str) -> None:
    hosts = "--set=public_hosts=srv.lan,ml.example.com:8443"
    deploy = words("scenario-3b", name, hosts, *ONE_WORKER)
    done = person.run(*deploy)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("checked by use") == 4
    url = f"http://127.0.0.1:{deploy[5]}/api/2.0/mlflow/experiments/search?max_results=1"
    assert status(url, Host="srv.lan:5003") == 200
    assert status(url, Host="evil.example") == 403


@pytest.mark.matrix
def test_user_flavor_runs_as_the_user_by_name(
    machine: DockerMachine, person: User, name: str
) -> None:
    person.ok(*words("scenario-3b", name, "--set", "image_flavor=user", *ONE_WORKER))
    code, output = run_inside(machine.host, machine.containers(name)["tracking"], "id", "-un")
    assert (code, output.strip()) == (0, "root" if os.getuid() == 0 else os.getlogin())


class TestProxy:
    """One stack of scenario-5, deployed again with another setting."""

    scenario = "scenario-5"
    settings = ()

    def test_client_that_sets_nothing_is_not_sent_to_the_inner_object_store(
        self, deployed: Deployed
    ) -> None:
        url = f"http://127.0.0.1:{deployed.words[5]}/api/3.0/mlflow/server-info"
        with urllib.request.urlopen(url, timeout=20) as answer:
            info = json.load(answer)
        assert info["multipart_downloads_enabled"] is False
        assert info["multipart_uploads_enabled"] is False

    def test_changed_setting_recreates_only_what_it_changes(
        self, machine: DockerMachine, deployed: Deployed
    ) -> None:
        before = {service: c.id for service, c in machine.containers(deployed.name).items()}
        plan = deployed.user.run("plan", *deployed.words[1:], *ONE_WORKER, "--detailed-exitcode")
        assert plan.returncode == 2
        assert "recreate service  tracking" in plan.stdout
        deployed.deploy(*ONE_WORKER)
        after = {service: c.id for service, c in machine.containers(deployed.name).items()}
        assert {service for service in after if after[service] != before[service]} == {"tracking"}


class TestServer:
    """One stack of scenario-3b, whose server is told more in MLflow's words."""

    scenario = "scenario-3b"
    given = own_words.GIVEN
    settings = (*ONE_WORKER, *own_words.SETTINGS)

    def test_image_is_small_and_installs_nothing_at_start(
        self, machine: DockerMachine, daemon: docker.DockerClient, deployed: Deployed
    ) -> None:
        container = machine.containers(deployed.name)["tracking"]
        image = daemon.images.get(container.attrs["Config"]["Image"])
        assert image.attrs["Size"] < 1_200_000_000
        assert image.attrs["Config"]["User"] == "10001"
        processes = container.top()["Processes"][0]
        assert not any("pip" in line or "conda" in line for line in processes)
        modules = "uvloop, httptools, psycopg2, pymysql, boto3, flask_wtf, mlflow"
        code, output = run_inside(machine.host, container, "python3", "-c", f"import {modules}")
        assert code == 0, output

    def test_the_server_is_told_in_its_own_words(
        self, machine: DockerMachine, deployed: Deployed
    ) -> None:
        container = machine.containers(deployed.name)["tracking"]
        script = "cat /proc/[0-9]*/environ"
        code, output = run_inside(machine.host, container, "bash", "-c", script)
        assert code == 0, output
        own_words.assert_told(deployed, machine, output.split("\0"))

    def test_a_compose_file_of_the_user_s_own_is_merged(
        self, machine: DockerMachine, deployed: Deployed
    ) -> None:
        own, extra = deployed.user.home / "my team.yaml", ("--set", "extra.compose=my team.yaml")
        own.write_text("services: {tracking: {environment: {MINE: yes it is}, cpus: 1.5}}")
        plan = deployed.user.run("plan", *deployed.words[1:], *extra, "--detailed-exitcode")
        assert plan.returncode == 2, plan.stderr
        assert "compose.override.yaml" in plan.stdout
        assert "recreate service  tracking" in plan.stdout
        deployed.deploy(*extra)
        container = machine.containers(deployed.name)["tracking"]
        assert "MINE=yes it is" in container.attrs["Config"]["Env"]
        assert container.attrs["HostConfig"]["NanoCpus"] == 1_500_000_000
        assert "nothing to do" in deployed.deploy(*extra)
        # It is kept, and taken out again.
        assert "nothing to do" in deployed.deploy()
        own.unlink()
        deployed.user.ok("backup", deployed.name, "-o", str(own.with_suffix(".tar")))
        deployed.deploy("--set", "extra.compose=")
        container = machine.containers(deployed.name)["tracking"]
        assert not any("MINE" in variable for variable in container.attrs["Config"]["Env"])

    @pytest.mark.matrix
    def test_setting_that_is_not_repeated_stays(self, deployed: Deployed) -> None:
        done = deployed.user.run(*deployed.words[: -len(self.settings)])
        assert "nothing to do: the stack is as it should be" in done.stderr


class TestOrdinaryUser:
    """Somebody who is not root, with the right to use the daemon and no other."""

    UID = 12345

    @pytest.fixture
    def ordinary(self, machine: DockerMachine, tmp_path: Path) -> Iterator[User]:
        if os.getuid() != 0:
            pytest.skip("this user is an ordinary one: every other test shows it")
        home = tmp_path / "home of ada"
        home.mkdir()
        for folder in (home, tmp_path):
            os.chown(folder, self.UID, self.UID)
        for parent in tmp_path.parents:
            if parent.stat().st_mode & 0o001 == 0 and parent.name.startswith("pytest"):
                parent.chmod(0o711)
        path = tmp_path / "docker.sock"
        forwarder = Forwarder(path, machine.host.removeprefix("unix://"))
        os.chown(path, self.UID, self.UID)
        # Python itself may lie in a folder of root's: the user may read everything, write nothing.
        drop = (
            "setpriv", f"--reuid={self.UID}", f"--regid={self.UID}", "--clear-groups",
            "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search",
            "--bounding-set=-all,+dac_read_search",
        )  # fmt: skip
        variables = {"DOCKER_HOST": f"unix://{path}", "HOME": str(home), "USER": "ada"}
        user = User(home, {**machine.variables, **variables}, drop)
        (home / "client").mkdir()
        os.chown(home / "client", self.UID, self.UID)
        yield user
        machine.clean_up(user)
        forwarder.close()

    @pytest.mark.parametrize(
        "scenario", [matrix("scenario-1"), "scenario-3b", matrix("scenario-5")]
    )
    def test_deploys_uses_and_removes(
        self, machine: DockerMachine, ordinary: User, name: str, scenario: str
    ) -> None:
        ordinary.ok(*words(scenario, name, *ONE_WORKER))
        ordinary.client("write", name)
        ordinary.client("read", name)
        owners = {p.stat().st_uid for p in ordinary.home.rglob("*")}
        assert owners == {self.UID}
        server = "ui" if scenario == "scenario-1" else "tracking"
        user = machine.containers(name)[server].attrs["Config"]["User"]
        assert user == f"{self.UID}:{self.UID}"
        ordinary.ok("remove", name, "--volumes", "--confirm", name)
        assert machine.leftovers(ordinary.stack(name)) == []


class Forwarder:
    """A Unix socket that leads to another one: gives a user the right to a daemon."""

    def __init__(self, path: Path, target: str) -> None:
        self._target = target
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(path))
        self._listening.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._target)
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._copy, args=(source, sink), daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket) -> None:
        try:
            while block := source.recv(65536):
                sink.sendall(block)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            source.close()
            sink.close()
