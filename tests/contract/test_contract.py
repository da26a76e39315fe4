"""What holds for every scenario on every runtime, in the order of a stack's life.

A runtime takes part with a class of three lines at the end, and a machine in `fixtures.py`.
"""

import json
import os
import stat
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

import pytest

from stackctl import scenarios
from stackctl.versions import MLFLOW
from tests.contract.driving import ONE_WORKER, Deployed, User, words
from tests.contract.leaks import leaks
from tests.contract.machine import Machine


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each class names the scenarios that its stacks are of."""
    if metafunc.cls is not None:
        always = set(metafunc.cls.always)
        marked = [name if name in always else pytest.param(name, marks=pytest.mark.matrix)
                  for name in metafunc.cls.scenarios]  # fmt: skip
        metafunc.parametrize("deployed", marked, indirect=True, scope="class")


@pytest.fixture(scope="class")
def deployed(
    request: pytest.FixtureRequest, machine: Machine, user: User, stack_name: Callable[[], str]
) -> Iterator[Deployed]:
    """One scenario, deployed."""
    equipped = user.having(machine.equipment(request.param))
    # As many workers as by default on one.
    workers = () if (request.cls.runtime, request.param) == ("docker", "scenario-5") else ONE_WORKER
    deployed = Deployed(equipped, tuple(words(request.param, stack_name(), *workers)))
    told = deployed.deploy()
    assert told.count("checked by use") == machine.checks, told
    yield deployed
    user.run("remove", deployed.name, "--volumes", "--confirm", deployed.name)


class EveryScenario:
    """What holds of a stack that is deployed, used and removed.

    Attributes:
        runtime: Where.
        scenarios: Of which.
        always: Those of them that `make test` shows; the others are for `make test-matrix`.
    """

    runtime: ClassVar[str]
    scenarios: ClassVar[tuple[str, ...]]
    always: ClassVar[tuple[str, ...]]

    def test_a_real_client_logs_and_reads_back(self, deployed: Deployed) -> None:
        deployed.user.client("write", deployed.name)
        deployed.user.client("read", deployed.name)

    def test_a_second_deploy_changes_nothing(self, deployed: Deployed, machine: Machine) -> None:
        before = machine.lives(deployed.stack)
        told = deployed.deploy()
        assert "nothing to do" in told
        assert machine.lives(deployed.stack) == before
        plan = deployed.user.run("plan", *deployed.words[1:], "--detailed-exitcode")
        assert plan.returncode == 0, plan.stdout

    def test_show_tells_the_truth(self, deployed: Deployed, machine: Machine) -> None:
        seen = deployed.user.show(deployed.name)
        assert seen["state"] == "running"
        assert seen["runtime"] == self.runtime
        assert seen["mlflow"] == MLFLOW
        assert {s["name"] for s in seen["services"]} == set(machine.lives(deployed.stack))
        assert all(s["mode"] == "0600" for s in seen["secrets"])

    def test_nothing_listens_beyond_loopback(self, deployed: Deployed, machine: Machine) -> None:
        addresses = machine.listeners(deployed.stack)
        assert addresses
        assert all(ip_address(address).is_loopback for address in addresses), addresses

    def test_every_service_is_confined(self, deployed: Deployed, machine: Machine) -> None:
        assert machine.liberties(deployed.stack) == []

    def test_files_belong_to_the_user(self, deployed: Deployed, machine: Machine) -> None:
        data = deployed.user.home / "data" / deployed.name
        services = machine.volumes(deployed.stack)
        own = {p for p in data.rglob("*") if not any(p.is_relative_to(f) for f in services)}
        owners = {path.stat().st_uid for path in own}
        uses_data_folder = scenarios.load(deployed.scenario).uses_data_folder
        assert owners == ({os.getuid()} if uses_data_folder else set())

    def test_no_secret_leaves_its_file(self, deployed: Deployed, machine: Machine) -> None:
        folder = deployed.stack.secrets.path
        if not folder.exists():
            assert scenarios.load(deployed.scenario).services in (("ui",), ("tracking",))
            return
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        for path in folder.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
            assert len(path.read_text()) >= 32, path
        assert leaks(deployed, machine) == []

    def test_remove_with_volumes_leaves_nothing(self, deployed: Deployed, machine: Machine) -> None:
        user, name = deployed.user, deployed.name
        refused = user.run("remove", name, "--volumes", "--confirm", "another")
        assert refused.returncode == 2
        assert machine.lives(deployed.stack)
        user.ok("remove", name, "--volumes", "--confirm", name)
        assert machine.leftovers(deployed.stack) == []
        assert {path.name for path in user.home.iterdir()} == {"client", "stackctl.toml"}


class Returns(EveryScenario):
    """The same with a backup."""

    def test_a_stack_that_was_lost_comes_back(self, deployed: Deployed, tmp_path: Path) -> None:
        user, name, archive = deployed.user, deployed.name, tmp_path / "a.tar"
        if not user.state(name).exists():  # nobody has used it, in the matrix
            user.client("write", name)
        user.ok("backup", name, "-o", str(archive))
        user.ok("remove", name, "--volumes", "--confirm", name)
        user.ok("restore", str(archive), "--runtime", self.runtime)
        user.client("read", name)

    # Of those that are inherited, this must be the last.
    test_remove_with_volumes_leaves_nothing = EveryScenario.test_remove_with_volumes_leaves_nothing


class WholeLife(EveryScenario):
    """The same, in the order of a long life."""

    def test_a_lesson_and_a_smoke_leave_what_they_say(
        self, deployed: Deployed, tmp_path: Path
    ) -> None:
        """After a smoke, which leaves nothing, and with the run of the quickstart."""
        user, report = deployed.user, tmp_path / "report.xml"
        user.ok("smoke", deployed.name, "--junit", str(report))
        (suite,) = ElementTree.parse(report).getroot()
        assert int(suite.attrib["tests"]) >= 13
        assert (suite.attrib["failures"], suite.attrib["skipped"]) == ("0", "0")
        told = user.ok("example", "quickstart", deployed.name)
        state = user.state(deployed.name)
        known = json.loads(state.read_text())
        known["quickstart"] = told.split()[-1]
        state.write_text(json.dumps(known))
        user.client("read", deployed.name)

    def test_every_service_stops_cleanly_and_a_restart_keeps_the_data(
        self, deployed: Deployed, machine: Machine
    ) -> None:
        machine.shut_down(deployed.stack)
        assert deployed.state() == "stopped"
        machine.boot(deployed)
        assert deployed.state() == "running"
        deployed.user.client("read", deployed.name)

    def test_no_secret_is_in_what_services_say_at_their_end(
        self, deployed: Deployed, machine: Machine
    ) -> None:
        assert leaks(deployed, machine) == []

    def test_remove_keeps_the_data_and_a_new_deploy_finds_it(
        self, deployed: Deployed, machine: Machine
    ) -> None:
        deployed.user.ok("remove", deployed.name)
        assert machine.running(deployed.stack) == []
        deployed.deploy()
        deployed.user.client("read", deployed.name)

    test_a_stack_that_was_lost_comes_back = Returns.test_a_stack_that_was_lost_comes_back
    test_remove_with_volumes_leaves_nothing = EveryScenario.test_remove_with_volumes_leaves_nothing


# Each scenario is always shown on one runtime; the richest on both, with its whole life.
class TestDocker(EveryScenario):
    runtime = "docker"
    scenarios = always = ("scenario-4",)


class TestDockerReturns(Returns):
    runtime = "docker"
    rarely = ("test_a_stack_that_was_lost_comes_back",)
    scenarios = always = ("scenario-5-mysql",)


class TestDockerWholeLife(WholeLife):
    runtime = "docker"
    scenarios = tuple(scenarios.names())
    always = ("scenario-5",)


class TestEmbedded(EveryScenario):
    runtime = "embedded"
    scenarios = always = (
        "scenario-1", "scenario-2", "scenario-3a", "scenario-3b", "scenario-3b-mysql", "scenario-6",
    )  # fmt: skip


class TestEmbeddedWholeLife(WholeLife):
    runtime = "embedded"
    # In tests/embedded/test_data.py another stack has it all, and lessons are in tests/examples/.
    rarely = (
        "test_a_stack_that_was_lost_comes_back",
        "test_a_lesson_and_a_smoke_leave_what_they_say",
    )
    scenarios = tuple(scenarios.names())
    always = ("scenario-5",)


def test_every_scenario_is_always_shown_somewhere() -> None:
    classes = (TestDocker, TestDockerReturns, TestDockerWholeLife, TestEmbedded,
               TestEmbeddedWholeLife)  # fmt: skip
    assert {name for each in classes for name in each.always} == set(scenarios.names())
