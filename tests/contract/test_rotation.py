"""New values for secrets of a stack that runs, and what holds when stackctl is killed meanwhile."""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import psycopg2
import pytest
from botocore.exceptions import ClientError

from tests.contract.bucket import bucket
from tests.contract.driving import ONE_WORKER, Deployed
from tests.contract.leaks import leaks
from tests.contract.machine import Machine
from tests.contract.test_gc import Collects
from tests.docker.machine import DockerMachine

DYING = Path(__file__).with_name("dying.py")
Values = dict[str, str]


@contextmanager
def refused(error: type[Exception], saying: str) -> Iterator[list[str]]:
    """What a refusal told, which says that; another failure stays one."""
    told: list[str] = []
    try:
        yield told
    except error as refusal:
        if saying not in str(refusal):
            raise
        told.append(str(refusal))


class Doors:
    """The doors of a stack, tried from outside and without stackctl."""

    def __init__(self, deployed: Deployed, machine: Machine) -> None:
        self.deployed, self.machine = deployed, machine
        manifest = deployed.stack.require_manifest()
        self.ports, self.settings = dict(manifest.kept.get("ports", {})), dict(manifest.settings)
        self.names = manifest.secrets

    def values(self) -> Values:
        return {name: self.deployed.stack.secrets.read(name).reveal() for name in self.names}

    def opened(self, values: Values) -> dict[str, bool]:
        """Which doors these values open."""
        tried = {"postgres_password": self._postgres, "mysql_password": self._mysql,
                 "mysql_root_password": self._root, "s3_secret_key": self._bucket,
                 "admin_password": self._login}  # fmt: skip
        return {name: tried[name](values) for name in tried if name in values}

    def _postgres(self, values: Values) -> bool:
        password = values["postgres_password"]
        if "postgres" not in self.ports:
            words = ["psql", "-h", "127.0.0.1", "-U", "mlflow", "-c", ""]
            return self._said("postgres", words, PGPASSWORD=password)
        with refused(psycopg2.OperationalError, "authentication failed") as told:
            psycopg2.connect(host="127.0.0.1", port=self.ports["postgres"], user="mlflow",
                             password=password, dbname="mlflow").close()  # fmt: skip
        return not told

    def _mysql(self, values: Values) -> bool:
        words = ["mysql", "-h", "127.0.0.1", "-u", "mlflow", "-e", "SELECT 1"]
        return self._said("mysql", words, MYSQL_PWD=values["mysql_password"])

    def _root(self, values: Values) -> bool:
        words = ["mysql", "-u", "root", "-e", "SELECT 1"]
        return self._said("mysql", words, MYSQL_PWD=values["mysql_root_password"])

    def _said(self, service: str, words: list[str], **environment: str) -> bool:
        assert isinstance(self.machine, DockerMachine)
        container = self.machine.containers(self.deployed.name)[service]
        done = container.exec_run(words, environment=environment)
        assert done.exit_code == 0 or b"authentication failed" in done.output.lower() or (
            b"Access denied" in done.output
        ), done.output  # fmt: skip
        return bool(done.exit_code == 0)

    def _bucket(self, values: Values) -> bool:
        client = bucket(self.deployed, values["s3_access_key"], values["s3_secret_key"])
        with refused(ClientError, "InvalidAccessKeyId") as told:
            client.list_objects_v2(Bucket=self.settings["bucket"])
        return not told

    def _login(self, values: Values) -> bool:
        url = f"http://127.0.0.1:{self.settings['port']}/api/2.0/mlflow/experiments/search"
        pair = b64encode(f"admin:{values['admin_password']}".encode()).decode()
        asked = urllib.request.Request(
            f"{url}?max_results=1", headers={"Authorization": f"Basic {pair}"}
        )
        with refused(urllib.error.HTTPError, " 401") as told:
            urllib.request.urlopen(asked, timeout=30).close()
        return not told


@pytest.fixture
def doors(deployed: Deployed, machine: Machine) -> Doors:
    return Doors(deployed, machine)


def proved(doors: Doors, old: Values) -> None:
    """Exactly one value of each secret opens, and it is a new one."""
    new = doors.values()
    assert all(new[name] != old[name] for name in new)
    assert set(doors.opened(new).values()) == {True}
    assert set(doors.opened(old).values()) == {False}
    assert beside(doors.deployed) == []
    doors.deployed.user.client("read", doors.deployed.name)


def beside(deployed: Deployed) -> list[str]:
    """What lies beside the current values while they change."""
    return [name for name in deployed.stack.secrets.names()
            if name.endswith((".next", ".previous", ".part"))]  # fmt: skip


def rotate(deployed: Deployed) -> str:
    return deployed.user.ok("secrets", "rotate", "--stack", deployed.name)


def killed(deployed: Deployed, *moment: str) -> None:
    """`secrets rotate`, killed at that moment."""
    done = subprocess.run(
        [sys.executable, str(DYING), *moment, "secrets", "rotate", "--stack", deployed.name],
        env=deployed.user.environment | {"PYTHONPATH": os.pathsep.join(sys.path)},
        cwd=deployed.user.home, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, (done.returncode, done.stderr)


class Rotation:
    """Every secret of a stack, one call killed after the other."""

    runtime: ClassVar[str]
    scenario: ClassVar[str]
    settings: ClassVar[tuple[str, ...]] = ONE_WORKER
    # Each call dies later than the one before it, which it takes up.
    moments: ClassVar[tuple[tuple[str, str, str], ...]]
    # The stack is taken away before the last call.
    removed: ClassVar[bool] = False

    def test_killed_again_and_again_the_last_call_ends_it(
        self, deployed: Deployed, machine: Machine, doors: Doors
    ) -> None:
        old, before = doors.values(), machine.lives(deployed.stack)
        assert set(doors.opened(old).values()) == {True}
        for moment in self.moments:
            killed(deployed, *moment)
            assert beside(deployed)
        refused = deployed.user.run(*deployed.words)
        assert refused.returncode == 2
        assert "was cut short" in refused.stderr
        after = machine.lives(deployed.stack)
        assert {"postgres", "mysql"} & {name for name in after if after[name] == before[name]}
        if self.removed:
            deployed.user.ok("remove", deployed.name)
        told = rotate(deployed)
        assert set(told.split()) <= set(old)
        proved(doors, old)
        assert deployed.state() == "running"
        assert leaks(deployed, machine, old) == []
        assert "nothing to do" in deployed.deploy()


class TestEmbedded(Rotation, Collects):
    """With what comes after it: programs beside the stores have the new values."""

    removed = True
    runtime = "embedded"
    scenario = "scenario-5"
    settings = ("--set", "auth=basic", *ONE_WORKER)
    moments = (
        ("stackctl.secrets.rotation", "Handover.take_over", "before"),
        ("stackctl.operations.login", "AdminPassword.change", "after"),
        ("stackctl.runtimes.embedded.runtime", "Embedded.stop", "after"),
    )

    def test_secret_that_the_stack_does_not_have_is_refused(
        self, deployed: Deployed, doors: Doors
    ) -> None:
        before = doors.values()
        done = deployed.user.run("secrets", "rotate", "postgres_pasword", "--stack", deployed.name)
        assert done.returncode == 2
        assert "did you mean 'postgres_password'" in done.stderr
        assert (doors.values(), beside(deployed)) == (before, [])


@pytest.mark.matrix
class TestDockerPostgres(Rotation):
    runtime = "docker"
    scenario = "scenario-4"
    moments = (
        ("stackctl.stores.credentials", "DatabasePassword.change", "after"),
        ("stackctl.runtimes.docker.runtime", "Docker.stop", "after"),
        ("stackctl.proof.readiness", "prove", "before"),
        ("stackctl.secrets.rotation", "Handover.end", "after"),
    )


@pytest.mark.matrix
class TestDockerMySQL(Rotation):
    runtime = "docker"
    scenario = "scenario-3b-mysql"
    moments = (("stackctl.stores.mysql", "RootPassword.change", "after"),)
