"""What holds for every scenario, in the order of a stack's life."""

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import docker
import pytest

from stackctl import scenario
from tests.docker.driving import User, containers, free_port, leftovers, lives, until


@dataclass(frozen=True)
class Deployed:
    """One deployed scenario."""

    user: User
    name: str
    scenario: str
    words: tuple[str, ...]

    def deploy(self) -> str:
        done = self.user.run(*self.words)
        assert done.returncode == 0, done.stderr
        return done.stderr


@pytest.fixture(scope="class", params=scenario.names())
def stack(
    request: pytest.FixtureRequest, user: User, stack_name: Callable[[], str]
) -> Iterator[Deployed]:
    found = scenario.load(request.param)
    words = ["deploy", found.name, "--name", stack_name(), "--port", str(free_port())]
    for key in found.settings:
        if key.endswith("_port"):
            words += ["--set", f"{key}={free_port()}"]
    deployed = Deployed(user, words[3], found.name, tuple(words))
    told = deployed.deploy()
    assert told.count("checked by use") == 2, told
    yield deployed
    user.run("remove", deployed.name, "--volumes", "--confirm", deployed.name)


class TestEveryScenario:
    def test_a_real_client_logs_and_reads_back(self, stack: Deployed) -> None:
        stack.user.client("write", stack.name)
        stack.user.client("read", stack.name)

    def test_a_second_deploy_changes_nothing(
        self, stack: Deployed, daemon: docker.DockerClient
    ) -> None:
        before = lives(daemon, stack.name)
        told = stack.deploy()
        assert "nothing to do" in told
        assert lives(daemon, stack.name) == before
        plan = stack.user.run("plan", *stack.words[1:], "--detailed-exitcode")
        assert plan.returncode == 0, plan.stdout

    def test_show_tells_the_truth(self, stack: Deployed, daemon: docker.DockerClient) -> None:
        seen = stack.user.show(stack.name)
        assert seen["state"] == "running"
        assert seen["mlflow"] == "3.17.2"
        assert {s["name"] for s in seen["services"]} == set(containers(daemon, stack.name))
        assert all(s["mode"] == "0600" for s in seen["secrets"])

    def test_nothing_listens_beyond_loopback(
        self, stack: Deployed, daemon: docker.DockerClient
    ) -> None:
        for container in containers(daemon, stack.name).values():
            for entries in container.attrs["HostConfig"]["PortBindings"].values():
                assert {entry["HostIp"] for entry in entries} == {"127.0.0.1"}

    def test_every_service_is_confined(self, stack: Deployed, daemon: docker.DockerClient) -> None:
        for service, container in containers(daemon, stack.name).items():
            config = container.attrs["HostConfig"]
            assert config["CapDrop"] == ["ALL"], service
            assert config["ReadonlyRootfs"], service
            assert config["Memory"] > 0, service
            assert config["PidsLimit"] > 0, service
            assert "no-new-privileges:true" in config["SecurityOpt"], service
            assert config["LogConfig"]["Config"]["max-size"], service

    def test_no_secret_leaves_its_file(self, stack: Deployed, daemon: docker.DockerClient) -> None:
        folder = stack.user.home / ".secrets" / stack.name
        if not folder.exists():
            assert scenario.load(stack.scenario).services in (("ui",), ("tracking",))
            return
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        values = {}
        for path in folder.iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
            if path.name != "aws_credentials":
                values[path.name] = path.read_text()
        assert all(len(value) >= 32 for value in values.values())
        places = {"ps": subprocess.run(["ps", "axww", "-o", "args"], capture_output=True,
                                       text=True, check=True).stdout}  # fmt: skip
        for service, container in containers(daemon, stack.name).items():
            places[f"inspect {service}"] = str(container.attrs)
            places[f"logs {service}"] = container.logs().decode("utf-8", "replace")
        bundle = stack.user.home / ".stackctl" / stack.name
        for path in bundle.rglob("*"):
            if path.is_file():
                places[str(path)] = path.read_text()
        for words in (
            ["show", stack.name, "--json"],
            ["env", stack.name],
            ["plan", *stack.words[1:], "--set", "workers=3"],
            ["logs", "--stack", stack.name],
            ["doctor"],
        ):
            done = stack.user.run(*words)
            places[" ".join(words)] = done.stdout + done.stderr
        for place, text in places.items():
            for name, value in values.items():
                assert value not in text, f"{name} is in {place}"

    def test_files_belong_to_the_user(self, stack: Deployed) -> None:
        data = stack.user.home / "data" / stack.name
        if scenario.load(stack.scenario).uses_data_folder:
            assert {path.stat().st_uid for path in data.rglob("*")} == {os.getuid()}
        else:
            assert not data.exists()

    def test_every_service_stops_cleanly_and_a_restart_keeps_the_data(
        self, stack: Deployed, daemon: docker.DockerClient
    ) -> None:
        long_running = [
            c for service, c in containers(daemon, stack.name).items() if service != "bucket"
        ]
        for container in long_running:
            container.stop(timeout=30)
            container.reload()
            ended = container.attrs["State"]["ExitCode"]
            # 143: ended by SIGTERM, as a program without a handler does; 137 would be a crash.
            assert ended in (0, 143), (container.name, ended, container.logs(tail=5))
            assert b"forwarding signal" not in container.logs(tail=20), container.name
        for container in long_running:
            container.start()
        until(
            lambda: stack.user.show(stack.name)["state"] == "running",
            seconds=90, what="every service is healthy again",
        )  # fmt: skip
        stack.user.client("read", stack.name)

    def test_remove_keeps_the_data_and_a_new_deploy_finds_it(
        self, stack: Deployed, daemon: docker.DockerClient
    ) -> None:
        stack.user.ok("remove", stack.name)
        assert not containers(daemon, stack.name)
        stack.deploy()
        stack.user.client("read", stack.name)

    def test_remove_with_volumes_leaves_nothing(
        self, stack: Deployed, daemon: docker.DockerClient
    ) -> None:
        refused = stack.user.run("remove", stack.name, "--volumes", "--confirm", "another")
        assert refused.returncode == 2
        assert lives(daemon, stack.name)
        stack.user.ok("remove", stack.name, "--volumes", "--confirm", stack.name)
        assert leftovers(daemon, stack.name) == []
        assert [p.name for p in stack.user.home.iterdir()] == ["client"]
