"""A Docker daemon, as tests see it through the SDK."""

import contextlib
import os
import signal
from pathlib import Path
from typing import Any, ClassVar

import docker
import psutil

from stackctl.stack import Stack
from tests.contract.driving import Deployed, until
from tests.contract.machine import MARK, Life, Machine


class DockerMachine(Machine):
    """A machine with a Docker daemon at `host`."""

    checks: ClassVar[int] = 2

    def __init__(self, host: str, daemon: docker.DockerClient) -> None:
        self.host = host
        self.daemon = daemon

    @property
    def variables(self) -> dict[str, str]:
        return {"DOCKER_HOST": self.host, "STACKCTL_RUNTIME": "docker"}

    def containers(self, name: str) -> dict[str, Any]:
        """A stack's containers by service."""
        mine = of_project(project_of(name))
        found = self.daemon.containers.list(all=True, filters=mine, ignore_removed=True)
        return {c.labels["com.docker.compose.service"]: c for c in found}

    def lives(self, stack: Stack) -> dict[str, Life]:
        return {
            service: (str(c.id), str(c.attrs["State"]["StartedAt"]))
            for service, c in self.containers(stack.name).items()
        }

    def running(self, stack: Stack) -> list[str]:
        mine = of_project(project_of(stack.name))
        found = self.daemon.containers.list(all=True, filters=mine, sparse=True)
        networks = self.daemon.networks.list(filters=mine)
        return [str(c.name) for c in found] + [str(network.name) for network in networks]

    def kept(self, stack: Stack) -> list[str]:
        mine = of_project(project_of(stack.name))
        return [str(volume.name) for volume in self.daemon.volumes.list(filters=mine)]

    def volumes(self, stack: Stack) -> list[Path]:
        return []

    def listeners(self, stack: Stack) -> set[str]:
        return {
            entry["HostIp"]
            for container in self.containers(stack.name).values()
            for entries in container.attrs["HostConfig"]["PortBindings"].values()
            for entry in entries
        }

    def liberties(self, stack: Stack) -> list[str]:
        found = []
        for service, container in self.containers(stack.name).items():
            config = container.attrs["HostConfig"]
            confined = {
                "capabilities": config["CapDrop"] == ["ALL"],
                "to write into its image": config["ReadonlyRootfs"],
                "memory": config["Memory"] > 0,
                "processes": config["PidsLimit"] > 0,
                "new privileges": "no-new-privileges:true" in config["SecurityOpt"],
                "logs": bool(config["LogConfig"]["Config"]["max-size"]),
            }
            found += [f"{service}: {what}" for what, holds in confined.items() if not holds]
        return found

    def told(self, stack: Stack) -> dict[str, str]:
        places = {}
        for service, container in self.containers(stack.name).items():
            places[f"inspect {service}"] = str(container.attrs)
            places[f"logs {service}"] = container.logs().decode("utf-8", "replace")
        return places

    def ask_service(self, stack: Stack, service: str, statement: str) -> list[list[str]]:
        password = stack.secrets.read(f"{service}_password").reveal()
        words = {
            "postgres": ["psql", "-h", "127.0.0.1", "-U", "mlflow", "-At", "-F", "\t", "-c"],
            "mysql": ["mysql", "-h", "127.0.0.1", "-u", "mlflow", "-NB", "mlflow", "-e"],
        }[service]
        done = self.containers(stack.name)[service].exec_run(
            [*words, statement], environment={"PGPASSWORD": password, "MYSQL_PWD": password}
        )
        assert done.exit_code == 0, done.output
        return [line.split("\t") for line in done.output.decode().splitlines()]

    def initialising(self, stack: Stack, service: str) -> bool:
        container = self.containers(stack.name).get(service)
        return container is not None and bool(container.logs())

    def kill(self, stack: Stack, service: str) -> None:
        """SIGKILL from the machine: unlike `docker kill`, the daemon takes it for a crash."""
        container = self.containers(stack.name)[service]
        os.kill(int(container.attrs["State"]["Pid"]), signal.SIGKILL)

    def shut_down(self, stack: Stack) -> None:
        for container in self._long_running(stack):
            container.stop(timeout=30)
            container.reload()
            ended = container.attrs["State"]["ExitCode"]
            # 143: ended by SIGTERM, as a program without a handler does; 137 would be a crash.
            assert ended in (0, 143), (container.name, ended, container.logs(tail=5))
            assert b"forwarding signal" not in container.logs(tail=20), container.name

    def boot(self, deployed: Deployed) -> None:
        for container in self._long_running(deployed.stack):
            container.start()
        until(
            lambda: deployed.state() == "running",
            seconds=90, what="every service is healthy again",
        )  # fmt: skip

    def purge(self, stack: Stack) -> None:
        self.remove_project(project_of(stack.name))

    def reap(self) -> None:
        found = [c.labels for c in self.daemon.containers.list(all=True, ignore_removed=True)]
        found += [volume.attrs.get("Labels") or {} for volume in self.daemon.volumes.list()]
        for project in {labels.get("com.docker.compose.project", "") for labels in found}:
            owner = project.removeprefix(f"stackctl-{MARK}").partition("-")[0]
            ours = project.startswith(f"stackctl-{MARK}") and owner.isdigit()
            if ours and not psutil.pid_exists(int(owner)):
                self.remove_project(project)

    def remove_project(self, project: str) -> None:
        """Take a Compose project off the daemon, with its data."""
        mine = of_project(project)
        gone = (docker.errors.NotFound, docker.errors.APIError)
        for container in self.daemon.containers.list(all=True, filters=mine, sparse=True):
            with contextlib.suppress(*gone):
                container.remove(force=True, v=True)
        for network in self.daemon.networks.list(filters=mine):
            with contextlib.suppress(*gone):
                network.remove()
        for volume in self.daemon.volumes.list(filters=mine):
            with contextlib.suppress(*gone):
                volume.remove()

    def _long_running(self, stack: Stack) -> list[Any]:
        found = self.containers(stack.name)
        return [container for service, container in found.items() if service != "bucket"]


def of_project(project: str) -> dict[str, str | list[str] | bool]:
    """The filter for everything of a Compose project."""
    return {"label": f"com.docker.compose.project={project}"}


def project_of(name: str) -> str:
    return f"stackctl-{name}"
