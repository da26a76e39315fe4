"""Tests of what only a Docker daemon has."""

import docker
import pytest

from tests.docker.machine import DockerMachine


@pytest.fixture(scope="session")
def machine(docker_machine: DockerMachine) -> DockerMachine:
    """The machine on which these tests deploy."""
    return docker_machine


@pytest.fixture(scope="session")
def daemon(machine: DockerMachine) -> docker.DockerClient:
    """Its daemon."""
    return machine.daemon


@pytest.fixture(scope="session")
def outside(daemon: docker.DockerClient) -> str:
    """The address of this machine at which containers find it."""
    bridge = daemon.networks.get("bridge").attrs["IPAM"]["Config"][0]
    return str(bridge.get("Gateway") or bridge["Subnet"].replace("0/16", "1"))
