"""Upgrade: real data of MLflow 2.22.2 under the release that ships, or back where they were."""

from pathlib import Path
from typing import ClassVar

import pytest

from tests.contract.upgrading import OLD, Old, Upgraded


class TestSQLite(Upgraded):
    scenario = "scenario-3b"
    # tests/operations/test_upgrade_undone.py has it end at every step.
    rarely = ("test_one_that_fails_half_way_is_undone",)


@pytest.mark.matrix
class TestKilled:
    """Killed at other steps: asked for the old release, the next call does no more than undo it."""

    scenario: ClassVar[str] = "scenario-3b"
    settings: ClassVar[tuple[str, ...]] = ()

    def put_back(self, old: Old) -> None:
        told = old.user.ok("upgrade", old.name, "--to", OLD)
        assert f"nothing to do: MLflow {OLD} serves" in told
        assert old.manifest.status == "deployed"
        assert old.user.show(old.name)["state"] == "running"
        assert old.read(old.python) == old.before
        assert "nothing to do" in old.deployed.deploy()

    def test_while_it_gets_ready_nothing_has_happened(self, old: Old) -> None:
        ahead = old.deployed.stack.folder / "next"
        old.killed_when(lambda _: ahead.exists())
        assert old.manifest.status == "deployed"
        self.put_back(old)

    def test_before_the_backup_is_whole(self, old: Old) -> None:
        old.killed_when(lambda manifest: manifest.status == "upgrading")
        assert not old.manifest.upgrade.get("archive")
        self.put_back(old)

    def test_an_undo_that_fails_says_what_to_do(self, old: Old) -> None:
        old.killed_when(lambda manifest: manifest.upgrade.get("archive"))
        archive = Path(old.manifest.upgrade["archive"])
        away = archive.rename(archive.with_suffix(".away"))
        done = old.user.run("upgrade", old.name)
        assert done.returncode == 3, done.stderr
        assert f"which tries it again, or: stackctl restore {archive} --name" in done.stderr
        assert old.user.show(old.name)["state"] == "upgrading"
        away.rename(archive)
        self.put_back(old)

    def test_when_the_new_servers_are_about_to_start(self, old: Old) -> None:
        environment = old.deployed.stack.bundle / ".env"
        old.killed_when(lambda _: OLD not in environment.read_text())
        assert old.manifest.status == "upgrading"
        self.put_back(old)


@pytest.mark.matrix
class TestSQLiteWithLogin(Upgraded):
    scenario = "scenario-3b"
    settings = ("--set", "auth=basic")


@pytest.mark.matrix
class TestNoServer(Upgraded):
    scenario = "scenario-2"
    # They open the database themselves.
    old_clients_go_on = False


@pytest.mark.matrix
class TestMariaDB(Upgraded):
    scenario = "scenario-3b-mysql"


@pytest.mark.matrix
class TestMySQL(Upgraded):
    scenario = "scenario-5-mysql"


@pytest.mark.matrix
class TestPostgreSQL(Upgraded):
    scenario = "scenario-5"
