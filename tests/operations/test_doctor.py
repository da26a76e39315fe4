"""Doctor: what a deploy depends on is looked at, and each finding says how to mend it."""

import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from stackctl.errors import MachineError
from stackctl.fitness import Finding
from stackctl.operations import doctor
from stackctl.operations.doctor import examine
from stackctl.render import Component
from stackctl.runtimes import choice
from stackctl.runtimes.base import Obstacle
from stackctl.runtimes.docker import fitness as docker_fitness
from stackctl.runtimes.embedded import components
from stackctl.runtimes.embedded.runtime import Embedded
from tests.operations.stage import Stage

GB = 10**9


@dataclass
class Fit:
    """What a machine has that is fit for everything; a test takes something away.

    Attributes:
        daemon: Why no daemon answers; "" where one does.
        api: The version of its API.
        compose: Why there is no Compose.
        processes: Why the embedded runtime cannot be used.
        networks: How many the daemon has.
        ahead: Seconds by which the daemon's clock is ahead; None: it tells nonsense.
        free: Bytes on every disk.
        memory: Bytes that are available.
        root: The daemon's own folder.
    """

    daemon: str = ""
    api: str = "1.47"
    compose: str = ""
    processes: str = ""
    networks: int = 3
    ahead: float | None = 0.0
    free: int = 100 * GB
    memory: int = 8 * GB
    root: str = "/"
    info: dict[str, Any] = field(default_factory=dict)


@pytest.fixture
def fit(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> Fit:
    """The machine that doctor examines; its stacks are those of the stage."""
    fit = Fit()

    class Daemon:
        name = "docker"
        fitness = docker_fitness.look
        endpoint = "unix:///run/docker.sock"

        @property
        def client(self) -> Any:
            def version() -> dict[str, str]:
                if fit.daemon:
                    raise MachineError(fit.daemon, hint="start it")
                return {"ApiVersion": fit.api, "Version": "27.5"}

            api = SimpleNamespace(networks=lambda: [None] * fit.networks)
            return SimpleNamespace(version=version, api=api)

        @property
        def compose(self) -> str:
            if fit.compose:
                raise MachineError(fit.compose, hint="install it")
            return "Compose 2.40"

        def info(self) -> dict[str, str]:
            now = datetime.now(UTC) + timedelta(seconds=fit.ahead or 0)
            told = "yesterday" if fit.ahead is None else f"{now:%Y-%m-%dT%H:%M:%S.%f}123+00:00"
            return {"DockerRootDir": fit.root, "SystemTime": told}

    class Processes:
        name = "embedded"
        fitness = Embedded.fitness

        def check(self) -> None:
            if fit.processes:
                raise MachineError(fit.processes, hint="install that")

    parts = {"mlflow": Component("mlflow", "mlflow 3.17.2"),
             "mysql": Component("mysql", missing="it is not installed")}  # fmt: skip
    monkeypatch.setattr(choice, "every", lambda: [Daemon(), Processes()])
    monkeypatch.setattr(components, "find_all", lambda: parts)
    monkeypatch.setattr(
        psutil, "virtual_memory", lambda: SimpleNamespace(available=fit.memory)
    )  # fmt: skip
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=fit.free))
    monkeypatch.setattr(doctor, "listen_failure", lambda _, port: taken.get(port))
    monkeypatch.setattr(doctor, "listener", lambda _: "thing (process 7)")
    taken: dict[int, int] = {}
    fit.info["taken"] = taken
    return fit


def found(stage: Stage) -> dict[str, Finding]:
    """Findings by subject, each once."""
    findings = list(examine(stage.home))
    assert len({finding.subject for finding in findings}) == len(findings)
    return {finding.subject: finding for finding in findings}


def test_a_machine_that_is_fit_has_nothing_to_mend(stage: Stage, fit: Fit) -> None:
    findings = found(stage)
    assert {finding.level for finding in findings.values()} == {"ok"}
    assert not [finding for finding in findings.values() if finding.mend]
    assert list(findings) == [
        "Docker daemon", "Compose", "disk, Docker", "address pool", "clock", "embedded runtime",
        "disk, home", "memory",
    ]  # fmt: skip
    assert findings["Docker daemon"].told == "27.5, API 1.47, at unix:///run/docker.sock"
    assert findings["embedded runtime"].told == "mlflow 3.17.2"


@pytest.mark.parametrize(
    ("lacks", "subject", "level", "told"),
    [
        ({"daemon": "no daemon answers"}, "Docker daemon", "warning", "no daemon answers"),
        ({"api": "1.40"}, "Docker daemon", "warning", "API 1.40"),
        ({"compose": "there is no Compose"}, "Compose", "problem", "there is no Compose"),
        ({"processes": "no mlflow"}, "embedded runtime", "warning", "no mlflow"),
        ({"networks": 28}, "address pool", "warning", "28 networks"),
        ({"ahead": 60.0}, "clock", "warning", "60."),
        ({"ahead": None}, "clock", "warning", "cannot be read: 'yesterday'"),
        ({"free": GB}, "disk, home", "warning", "1.0 GB free at"),
        ({"free": GB}, "disk, Docker", "warning", "1.0 GB free at /"),
        ({"memory": GB}, "memory", "warning", "1.0 GB available"),
    ],
)
def test_what_is_lacking_is_told_with_how_to_mend_it(
    stage: Stage, fit: Fit, lacks: dict[str, Any], subject: str, level: str, told: str
) -> None:
    vars(fit).update(lacks)
    finding = found(stage)[subject]
    assert finding.level == level
    assert told in finding.told
    assert finding.mend or subject == "clock"


def test_without_any_runtime_both_are_problems(stage: Stage, fit: Fit) -> None:
    fit.daemon, fit.processes = "no daemon answers", "no mlflow"
    findings = found(stage)
    assert {findings[s].level for s in ("Docker daemon", "embedded runtime")} == {"problem"}
    assert "Compose" not in findings
    assert "clock" not in findings


def test_a_daemon_elsewhere_has_no_disk_here(
    stage: Stage, fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit.root = "/var/lib/docker"

    def usage(path: object) -> SimpleNamespace:
        if str(path) == fit.root:
            raise FileNotFoundError(fit.root)
        return SimpleNamespace(free=fit.free)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    assert "disk, Docker" not in found(stage)


# Stacks.


@pytest.fixture
def stacks(stage: Stage, fit: Fit) -> Stage:
    """With one stack that runs, whose port is in use."""
    stage.deployed("scenario-5", "name=x")
    fit.info["taken"][5000] = 98
    return stage


def test_a_port_of_the_stack_itself_is_no_strangers(stacks: Stage) -> None:
    assert found(stacks)["port 5000, x"] == Finding("port 5000, x", "ok", "the stack's own")


def test_a_port_that_is_free_is_said_to_be(stacks: Stage, fit: Fit) -> None:
    fit.info["taken"].clear()
    assert found(stacks)["port 5000, x"].told == "free"


def test_a_port_of_a_stranger_is_a_problem(stacks: Stage) -> None:
    stacks.machine.world.taken[5000] = Obstacle("taken", "nginx (process 9)")
    finding = found(stacks)["port 5000, x"]
    assert (finding.level, finding.told) == ("problem", "taken by nginx (process 9)")


def test_without_its_daemon_nobody_knows_whose_the_port_is(stacks: Stage, fit: Fit) -> None:
    fit.daemon = "no daemon answers"
    finding = found(stacks)["port 5000, x"]
    assert (finding.level, finding.told) == ("warning", "taken by thing (process 7)")


def test_usual_ports_are_looked_at_where_there_is_no_stack_yet(stage: Stage, fit: Fit) -> None:
    fit.info["taken"][5003] = 98
    finding = found(stage)["port 5003"]
    assert (finding.level, finding.told) == ("warning", "taken by thing (process 7)")
    assert finding.mend == "deploy with --port PORT"


def test_a_secret_that_others_can_read_is_a_problem(stacks: Stage) -> None:
    assert found(stacks)["secrets, x"].told == "5 good"
    (stacks.home.stack("x").secrets.path / "postgres_password").chmod(0o644)
    finding = found(stacks)["secrets, x"]
    assert finding.level == "problem"
    assert finding.told == "postgres_password others can read it (mode 0644)"
    assert finding.mend == "run: stackctl secrets check scenario-5 --name x"


def test_a_stack_without_secrets_is_not_told_of(stage: Stage, fit: Fit) -> None:
    stage.deployed("scenario-3a", "name=x")
    assert "secrets, x" not in found(stage)


def test_a_stack_whose_record_is_damaged_is_told_once(stacks: Stage) -> None:
    path: Path = stacks.home.stack("x").folder / "manifest.json"
    path.write_text("{")
    findings = found(stacks)
    assert findings["stack x"].level == "problem"
    assert "is damaged" in findings["stack x"].told
    assert "secrets, x" not in findings
