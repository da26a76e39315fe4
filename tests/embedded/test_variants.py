"""Settings that change how a stack runs as processes, each proved by use."""

import shlex
import shutil
import urllib.request
from pathlib import Path

import pytest

from stackctl.versions import MLFLOW
from tests.contract import own_words
from tests.contract.driving import ONE_WORKER, Deployed, User, words
from tests.embedded.machine import EmbeddedMachine
from tests.images.recipes import RECIPES

GATEWAY = Path(__file__).parents[1] / "images" / "minio" / "minio"


def minio(folder: Path) -> Path:
    """A folder for PATH with a `minio`: the stand-in of the images' tests."""
    folder.mkdir()
    for wheel in RECIPES["minio"].wheels:
        wheel.unpack(folder)
    shutil.copy(GATEWAY, folder / "gateway")
    program = folder / "minio"
    place = shlex.quote(str(folder))
    program.write_text(f'#!/bin/sh\nPATH={place}:$PATH exec bash {place}/gateway "$@"\n')
    program.chmod(0o755)
    return folder


@pytest.mark.matrix
def test_minio_of_the_machine_serves_as_well(
    person: User, machine: EmbeddedMachine, name: str, tmp_path: Path
) -> None:
    path = f"{minio(tmp_path / 'with minio')}:{person.environment['PATH']}"
    equipped = person.having({"PATH": path})
    deploy = words("scenario-4", name, "--set", "object_store=minio", *ONE_WORKER)
    deployed = Deployed(equipped, tuple(deploy))
    deployed.deploy()
    seen = {service["name"]: service for service in equipped.show(name)["services"]}
    assert seen["objects"]["image"].startswith("MinIO at ")
    equipped.client("write", name)
    equipped.client("read", name)
    # What it was given, it cannot be asked for.
    told = " ".join(" ".join(p.cmdline()) for p in machine.processes(deployed.stack))
    assert deployed.stack.secrets.read("s3_secret_key").reveal() not in told


class TestDeployed:
    """One stack of scenario-5, deployed again with other settings."""

    scenario = "scenario-5"
    settings = ()

    @pytest.mark.matrix
    def test_changed_setting_restarts_only_what_it_changes(
        self, deployed: Deployed, machine: EmbeddedMachine
    ) -> None:
        before = machine.lives(deployed.stack)
        plan = deployed.user.run("plan", *deployed.words[1:], *ONE_WORKER, "--detailed-exitcode")
        assert plan.returncode == 2
        assert "recreate service  tracking" in plan.stdout
        deployed.deploy(*ONE_WORKER)
        after = machine.lives(deployed.stack)
        assert {service for service in after if after[service] != before[service]} == {"tracking"}
        deployed.user.client("read", deployed.name)

    @pytest.mark.matrix
    def test_stack_stays_where_its_data_are(self, deployed: Deployed) -> None:
        done = deployed.user.run(*deployed.words, "--runtime", "docker")
        assert done.returncode == 2, done.stderr
        assert "--runtime embedded" in done.stderr
        assert deployed.state() == "running"


class TestSettings:
    """One stack of scenario-2, with a setting that is of use here and another that is not."""

    scenario = "scenario-2"
    given = own_words.GIVEN
    settings = ("--set", "bind=::1", *ONE_WORKER, *own_words.SETTINGS)

    @pytest.mark.matrix
    def test_other_loopback_address_is_used(
        self, deployed: Deployed, machine: EmbeddedMachine
    ) -> None:
        assert machine.listeners(deployed.stack) == {"::1"}
        address = f"http://[::1]:{deployed.words[5]}/version"
        with urllib.request.urlopen(address, timeout=20) as answer:
            assert answer.read() == MLFLOW.encode()

    def test_the_server_is_told_in_its_own_words(
        self, deployed: Deployed, machine: EmbeddedMachine
    ) -> None:
        processes = machine.processes(deployed.stack)
        told = [f"{name}={value}" for p in processes for name, value in p.environ().items()]
        own_words.assert_told(deployed, machine, told)

    def test_setting_that_only_containers_have_is_told(
        self, deployed: Deployed, machine: EmbeddedMachine
    ) -> None:
        before = machine.lives(deployed.stack)
        assert "memory.ui has no effect" in deployed.deploy("--set", "memory.ui=1g")
        assert machine.lives(deployed.stack) == before
