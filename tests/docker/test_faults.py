"""What goes wrong with images, containers and volumes, and what must hold then."""

import json
import os
from dataclasses import replace
from pathlib import Path

import docker
import pytest

from tests.contract.driving import ONE_WORKER, User, words
from tests.docker.machine import DockerMachine


def test_service_that_needs_more_memory_says_so(
    machine: DockerMachine, person: User, name: str
) -> None:
    done = person.run(*words("scenario-3b", name, "--set", "memory.tracking=20m",
                             "--timeout", "30"))  # fmt: skip
    assert done.returncode == 3
    assert "--set memory.tracking=SIZE" in done.stderr
    assert machine.leftovers(person.stack(name)) == []


def test_daemon_of_another_machine_is_refused(
    machine: DockerMachine, person: User, name: str
) -> None:
    """Through a socket here, as one that ssh forwards; and `auto` is no way around it."""
    if os.getuid() != 0:
        pytest.skip("only root can be on a machine of another name")
    elsewhere = ("unshare", "--uts", "sh", "-euc", 'hostname elsewhere; exec "$@"', "sh")
    somebody = replace(person, prefix=elsewhere)
    for command in (words("scenario-3b", name), words("scenario-3b", name, "--set", "runtime=auto"),
                    ("plan", "scenario-3b", "--name", name)):  # fmt: skip
        done = somebody.run(*command)
        assert done.returncode == 2, done.stderr
        assert f"the Docker daemon at {person.environment['DOCKER_HOST']} is on" in done.stderr
        assert "not elsewhere" in done.stderr
        assert len(done.stderr.splitlines()) == 1
    findings = json.loads(somebody.run("doctor", "--json").stdout)
    (told,) = [found["told"] for found in findings if found["subject"] == "Docker daemon"]
    assert "is on another machine" in told
    assert machine.leftovers(person.stack(name)) == []


@pytest.mark.matrix
def test_image_that_cannot_be_pulled_changes_nothing(
    machine: DockerMachine, person: User, name: str
) -> None:
    image = "stackctl-test/there-is-none:1"
    done = person.run(*words("scenario-5", name, "--set", f"images.postgres={image}"))
    assert done.returncode == 3
    assert image in done.stderr
    assert machine.leftovers(person.stack(name)) == []


@pytest.mark.matrix
def test_volume_of_a_stranger_is_refused_and_untouched(
    machine: DockerMachine, person: User, daemon: docker.DockerClient, name: str
) -> None:
    theirs = daemon.volumes.create(f"stackctl-{name}_postgres", labels={"whose": "theirs"})
    try:
        done = person.run(*words("scenario-5", name))
        assert done.returncode == 2
        assert f"volume stackctl-{name}_postgres" in done.stderr
        nothing_of_ours = [c for c in machine.leftovers(person.stack(name)) if c != theirs.name]
        assert nothing_of_ours == []
        theirs.reload()
        assert theirs.attrs["Labels"] == {"whose": "theirs"}
    finally:
        theirs.remove()


def test_volume_that_compose_would_make_anew_is_kept(
    person: User, daemon: docker.DockerClient, name: str
) -> None:
    """Asked whether data may be lost, Compose must never be told yes."""
    labels = {
        "com.docker.compose.project": f"stackctl-{name}",
        "com.docker.compose.volume": "objects",
        "com.docker.compose.config-hash": "of another stackctl",
        "io.stackctl.owner": person.stack(name).owner,
    }
    before = daemon.volumes.create(f"stackctl-{name}_objects", labels=labels)
    person.ok(*words("scenario-5", name, *ONE_WORKER))
    # One that was made anew would have Compose's own labels.
    assert daemon.volumes.get(before.name).attrs["Labels"] == labels


@pytest.mark.matrix
def test_same_name_from_another_home_is_refused(
    machine: DockerMachine, person: User, name: str, tmp_path: Path
) -> None:
    person.ok(*words("scenario-3b", name, *ONE_WORKER))
    before = machine.lives(person.stack(name))
    done = replace(person, home=tmp_path).run(*words("scenario-3b", name))
    assert done.returncode == 2
    assert str(person.home) in done.stderr
    assert machine.lives(person.stack(name)) == before
    assert list(tmp_path.iterdir()) == []


def test_doctor_examines_the_daemon(person: User) -> None:
    findings = json.loads(person.ok("doctor", "--json"))
    assert {f["subject"] for f in findings} >= {"Docker daemon", "Compose", "memory", "clock"}
