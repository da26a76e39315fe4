"""What data of an older MLflow go through on the way to the release that ships, on any runtime.

Loaded by tests/conftest.py for its fixture.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from stackctl.archive import Archive
from stackctl.runtimes.embedded import environments
from stackctl.stack import Manifest
from stackctl.versions import MLFLOW
from tests.contract.driving import ONE_WORKER, Deployed, User, until, words
from tests.contract.machine import Machine

OLD = "2.22.2"
STORE = Path(__file__).with_name("old_store.py")


@dataclass(frozen=True)
class Old:
    """A stack that was deployed with the old release and filled by the old client."""

    deployed: Deployed
    machine: Machine
    release: str
    before: dict[str, Any]

    @property
    def python(self) -> str:
        """The Python of the environment that stackctl made for the old release."""
        return str(environments.folder(self.release) / "bin" / "python")

    @property
    def user(self) -> User:
        return self.deployed.user

    @property
    def name(self) -> str:
        return self.deployed.name

    @property
    def manifest(self) -> Manifest:
        return self.deployed.stack.require_manifest()

    def read(self, python: str = sys.executable) -> dict[str, Any]:
        """What a client finds."""
        return dict(json.loads(client(self.deployed, python, "read")))

    def sql(self, statement: str) -> list[list[str]]:
        """What a statement gives to somebody who knows the database's password."""
        return self.machine.sql(self.deployed.stack, statement)

    def killed_when(self, reached: Callable[[Manifest], object]) -> None:
        """Begin an upgrade, and kill it when it got there."""
        process = self.user.start("upgrade", self.name)
        until(
            lambda: reached(self.manifest) or process.poll() is not None,
            seconds=120, what="the upgrade",
        )  # fmt: skip
        process.kill()
        _, told = process.communicate()
        assert process.returncode < 0, told


def client(deployed: Deployed, python: str, verb: str) -> str:
    """Run a client in a shell that evaluated `stackctl env`."""
    shell = f'eval "$({sys.executable} -m stackctl env {deployed.name})"; exec "$@"'
    done = subprocess.run(
        ["bash", "-euc", shell, "bash", python, str(STORE), verb],
        env={**deployed.user.environment, "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"},
        cwd=deployed.user.home, text=True, capture_output=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="class")
def old(
    request: pytest.FixtureRequest,
    machine: Machine,
    user: User,
    stack_name: Callable[[], str],
) -> Old:
    """The stack that the tests of a class share, one after the other."""
    scenario, release = request.cls.scenario, getattr(request.cls, "release", OLD)
    equipped = user.having(machine.equipment(scenario))
    more = ("--set", f"mlflow_version={release}", *ONE_WORKER, *request.cls.settings)
    deployed = Deployed(equipped, tuple(words(scenario, stack_name(), *more)))
    # The client's, also where no server runs from there.
    environments.make(release, print)
    deployed.deploy()
    old = Old(deployed, machine, release, {})
    client(deployed, old.python, "write")
    return replace(old, before=old.read(old.python))


class Upgraded:
    """What data of the old release go through, in this order."""

    scenario: ClassVar[str]
    settings: ClassVar[tuple[str, ...]] = ()
    release: ClassVar[str] = OLD
    # The migrations make a table of this name near their end.
    in_the_way: ClassVar[str] = "guardrail_configs"
    old_clients_go_on: ClassVar[bool] = True

    def test_a_deploy_with_a_newer_release_is_refused(self, old: Old) -> None:
        newer = [*old.deployed.words[1:], "--set", f"mlflow_version={MLFLOW}"]
        for command in ("plan", "deploy"):
            done = old.user.run(command, *newer)
            assert done.returncode == 2, done.stderr
            assert f"stackctl upgrade {old.name} --to {MLFLOW}" in done.stderr
        assert old.user.show(old.name)["mlflow"] == old.release

    def test_one_that_fails_half_way_is_undone(self, old: Old) -> None:
        old.sql(f"CREATE TABLE {self.in_the_way} (x int)")
        old.sql("CREATE TABLE theirs (x varchar(20) DEFAULT '100%s')")
        old.sql("INSERT INTO theirs VALUES ('one'), ('two')")
        done = old.user.run("upgrade", old.name)
        assert done.returncode == 4, done.stderr
        assert f"MLflow {old.release} serves what it served before" in done.stderr
        assert old.manifest.status == "deployed"
        assert old.user.show(old.name)["mlflow"] == old.release
        assert old.read(old.python) == old.before
        assert "nothing to do" in old.deployed.deploy()
        assert old.sql("SELECT x FROM theirs ORDER BY x") == [["one"], ["two"]]
        old.sql(f"DROP TABLE {self.in_the_way}")

    @pytest.mark.matrix
    def test_one_that_is_killed_keeps_everything_else_out(self, old: Old) -> None:
        old.killed_when(lambda manifest: manifest.upgrade.get("archive"))
        assert old.user.show(old.name)["state"] == "upgrading"
        refused = old.user.run(*old.deployed.words)
        assert refused.returncode == 2
        assert f"run: stackctl upgrade {old.name}" in refused.stderr

    def test_everything_is_there_afterwards(self, old: Old) -> None:
        """Also where one was killed before: what was there is put back first."""
        killed = old.manifest.status == "upgrading"
        done = old.user.run("upgrade", old.name)
        assert done.returncode == 0, done.stderr
        assert f"from MLflow {old.release} to {MLFLOW}" in done.stdout
        assert ("putting back what was there before" in done.stderr) is killed
        assert old.user.show(old.name)["mlflow"] == MLFLOW
        assert old.read() == old.before
        if self.old_clients_go_on:
            assert old.read(old.python) == old.before
        newer = [MLFLOW.join(word.split(old.release)) for word in old.deployed.words]
        assert "nothing to do" in Deployed(old.user, tuple(newer)).deploy()
        assert "nothing to do" in old.user.ok("upgrade", old.name)
        folder = old.deployed.stack.folder
        assert not (folder / "next").exists()
        assert not (folder / "before").exists()

    def test_there_is_no_way_back_but_the_backup(self, old: Old) -> None:
        done = old.user.run("upgrade", old.name, "--to", old.release)
        assert done.returncode == 2
        assert "no way back" in done.stderr
        backups = sorted((old.user.home / "backups").glob(f"{old.name}-before-upgrade-*.tar"))
        with Archive(backups[-1]) as archive:
            archive.verify()
            assert archive.manifest["mlflow"] == old.release
            assert archive.manifest["settings"]["mlflow_version"] == old.release
