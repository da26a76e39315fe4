"""Tests against a real daemon: each has a home of its own, and nothing outlives it."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import psutil
import pytest

from tests.docker.driving import User, of_project, project_of
from tests.engine import Engine
from tests.images import Provenance

_MARK = "t"  # stacks of tests are called t<pid>-<random>


@pytest.fixture(scope="session")
def daemon(
    docker_client: docker.DockerClient, images: dict[str, Provenance]
) -> docker.DockerClient:
    """The daemon, with every image on it, and without what killed sessions left."""
    for container in docker_client.containers.list(all=True, ignore_removed=True):
        _reap(docker_client, container.labels.get("com.docker.compose.project", ""))
    for volume in docker_client.volumes.list():
        labels = volume.attrs.get("Labels") or {}
        _reap(docker_client, labels.get("com.docker.compose.project", ""))
    return docker_client


@pytest.fixture(scope="session")
def stack_name() -> Callable[[], str]:
    """Gives names that nobody else uses, and that tell whose they are."""
    return lambda: f"{_MARK}{os.getpid()}-{secrets.token_hex(3)}"


@pytest.fixture(scope="class")
def user(
    engine: Engine, daemon: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[User]:
    """A user whose home has a blank and an umlaut in its name."""
    home = tmp_path_factory.mktemp("stacks") / "my stäcks"
    home.mkdir()
    somebody = User(home, engine.host)
    yield somebody
    clean_up(somebody, daemon)


@pytest.fixture
def name(stack_name: Callable[[], str]) -> str:
    """The name of one test's stack."""
    return stack_name()


@pytest.fixture
def person(user: User, name: str) -> Iterator[User]:
    """The user, whose stack `name` is removed after the test."""
    yield user
    user.run("remove", name, "--volumes", "--confirm", name)


def clean_up(somebody: User, daemon: docker.DockerClient) -> None:
    """Remove every stack of a user, whatever state it is in."""
    known = home_stacks(somebody.home)
    for name in known:
        somebody.run("remove", name, "--volumes", "--confirm", name)
        remove_project(daemon, project_of(name))
    shutil.rmtree(somebody.home, ignore_errors=True)


def home_stacks(home: Path) -> list[str]:
    folder = home / ".stackctl"
    return [entry.name for entry in folder.iterdir()] if folder.is_dir() else []


def remove_project(daemon: docker.DockerClient, project: str) -> None:
    """Take a Compose project off the daemon, with its data."""
    mine = of_project(project)
    gone = (docker.errors.NotFound, docker.errors.APIError)
    for container in daemon.containers.list(all=True, filters=mine, sparse=True):
        with contextlib.suppress(*gone):
            container.remove(force=True, v=True)
    for network in daemon.networks.list(filters=mine):
        with contextlib.suppress(*gone):
            network.remove()
    for volume in daemon.volumes.list(filters=mine):
        with contextlib.suppress(*gone):
            volume.remove()


def _reap(daemon: docker.DockerClient, project: str) -> None:
    """Remove the stack of a test session that was killed."""
    owner = project.removeprefix(f"stackctl-{_MARK}").partition("-")[0]
    ours = project.startswith(f"stackctl-{_MARK}") and owner.isdigit()
    if ours and not psutil.pid_exists(int(owner)):
        remove_project(daemon, project)
