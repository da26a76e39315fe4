"""Fixtures of every test that deploys: `user`, `person`, `deployed`, names, and the machines.

Loaded by tests/conftest.py. A folder whose classes name no runtime has a `machine` of its own.
"""

import os
import secrets
import sys
from collections.abc import Callable, Iterator

import docker
import pytest

from tests.contract.driving import ONE_WORKER, Deployed, User, words
from tests.contract.machine import MARK, Machine
from tests.docker.machine import DockerMachine
from tests.embedded.machine import EmbeddedMachine
from tests.engine import Engine
from tests.images import Provenance


@pytest.fixture(scope="session")
def docker_machine(
    engine: Engine, docker_client: docker.DockerClient, images: dict[str, Provenance]
) -> DockerMachine:
    """A daemon with every image."""
    machine = DockerMachine(engine.host, docker_client)
    machine.reap()
    return machine


@pytest.fixture(scope="session")
def embedded_machine() -> EmbeddedMachine:
    """This machine."""
    if sys.platform != "linux":
        pytest.skip("the embedded runtime needs Linux")
    machine = EmbeddedMachine()
    machine.reap()
    return machine


@pytest.fixture(scope="class")
def machine(request: pytest.FixtureRequest) -> Machine:
    """The machine of the runtime that the class names."""
    machine = request.getfixturevalue(f"{request.cls.runtime}_machine")
    assert isinstance(machine, Machine)
    return machine


@pytest.fixture(scope="session")
def stack_name() -> Callable[[], str]:
    """Gives names that nobody else uses, and that tell whose they are."""
    return lambda: f"{MARK}{os.getpid()}-{secrets.token_hex(3)}"


@pytest.fixture(scope="class")
def user(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user whose home has a blank and an umlaut in its name."""
    somebody = machine.user(tmp_path_factory.mktemp("stacks") / "my stäcks")
    yield somebody
    machine.clean_up(somebody)


@pytest.fixture(scope="class")
def deployed(
    request: pytest.FixtureRequest, machine: Machine, user: User, stack_name: Callable[[], str]
) -> Deployed:
    """The stack that the tests of a class share, with a run in it: each leaves it running.

    The class names its `scenario`, or is parametrised with several, and in `settings` more words
    of the deploy; where it says nothing, the server has one worker, and starts in half the time.
    In `given` it has secrets that those name.
    """
    scenario = getattr(request, "param", None) or request.cls.scenario
    equipped = user.having(machine.equipment(scenario))
    more = getattr(request.cls, "settings", ONE_WORKER)
    deployed = Deployed(equipped, tuple(words(scenario, stack_name(), *more)))
    for secret, value in getattr(request.cls, "given", {}).items():
        deployed.stack.secrets.take(secret, value)
    deployed.deploy()
    equipped.client("write", deployed.name)
    return deployed


@pytest.fixture
def name(stack_name: Callable[[], str]) -> str:
    """The name of one test's stack."""
    return stack_name()


@pytest.fixture
def names(stack_name: Callable[[], str], user: User) -> Iterator[list[str]]:
    """Names of stacks that are removed after the test."""
    made = [stack_name() for _ in range(2)]
    yield made
    for name in made:
        user.run("remove", name, "--volumes", "--confirm", name)


@pytest.fixture
def person(user: User, name: str) -> Iterator[User]:
    """The user, whose stack `name` is removed after the test."""
    yield user
    user.run("remove", name, "--volumes", "--confirm", name)
