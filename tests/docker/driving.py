"""Driving stackctl as a user does: by its command line, in a process of its own."""

import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import docker

T = TypeVar("T")
CLIENT = Path(__file__).with_name("client.py")
COMMAND = (sys.executable, "-m", "stackctl")


@dataclass
class User:
    """Somebody with a home folder and a daemon.

    Attributes:
        home: The folder from which stacks are deployed.
        host: The daemon's address.
        prefix: Words before every command, such as those that change the user.
    """

    home: Path
    host: str
    prefix: tuple[str, ...] = ()
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("STACKCTL_", "MLFLOW_"))}
        return {**kept, "DOCKER_HOST": self.host, "STACKCTL_HOME": str(self.home), **self.extra}

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command and do not wait for it.

        Ctrl-C reaches it even where these tests run in the background of a shell, whose jobs
        ignore it.
        """
        return subprocess.Popen(
            [*self.prefix, *COMMAND, *words],
            env=self.environment, cwd=self.home, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [*self.prefix, *COMMAND, *words],
            env=self.environment, cwd=self.home, text=True, check=False,
            capture_output=True, stdin=subprocess.DEVNULL, timeout=600,
        )  # fmt: skip

    def ok(self, *words: str) -> str:
        """Run a command that must end well; returns its standard output."""
        done = self.run(*words)
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def client(self, what: str, stack: str) -> None:
        """Run the MLflow client in a shell that evaluated `stackctl env`."""
        done = self.start_client(what, stack)
        output, _ = done.communicate(timeout=300)
        assert done.returncode == 0, f"client {what}: {output[-3000:]}"

    def start_client(self, what: str, stack: str) -> subprocess.Popen[str]:
        """Start it and do not wait."""
        folder = self.home / "client"
        folder.mkdir(exist_ok=True)
        stackctl = shlex.join([*self.prefix, *COMMAND])
        client = shlex.join([*self.prefix, sys.executable, str(CLIENT), what])
        state = shlex.quote(str(self.state(stack)))
        return subprocess.Popen(
            ["bash", "-euc", f'eval "$({stackctl} env {stack})"; {client} {state}'],
            env={**self.environment, "CLIENT_TMP": str(folder), "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
                 "MLFLOW_DISABLE_TELEMETRY": "true"},
            cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def state(self, stack: str) -> Path:
        """Where the client keeps what it did."""
        return self.home / "client" / f"{stack}.json"

    def show(self, stack: str) -> dict[str, Any]:
        """What `show --json` tells."""
        return dict(json.loads(self.ok("show", stack, "--json")))


def free_port() -> int:
    """A port on which nobody listens now, and which nobody else is about to take.

    Below the range from which the kernel takes ports for connections, and for each worker of
    pytest-xdist another range.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = 12000 + 4000 * (worker % 5) + secrets.randbelow(4000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def words(scenario: str, name: str, *more: str) -> list[str]:
    """The words of a deploy on a free port, which is the sixth of them."""
    return ["deploy", scenario, "--name", name, "--port", str(free_port()), *more]


def until(found: Callable[[], T], *, seconds: float, what: str) -> T:
    """The first true value of `found`, asked again and again; fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        if value := found():
            return value
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.1)


def of_project(project: str) -> dict[str, str | list[str] | bool]:
    """The filter for everything of a Compose project."""
    return {"label": f"com.docker.compose.project={project}"}


def project_of(stack: str) -> str:
    return f"stackctl-{stack}"


def containers(daemon: docker.DockerClient, stack: str) -> dict[str, Any]:
    """The stack's containers by service."""
    mine = of_project(project_of(stack))
    found = daemon.containers.list(all=True, filters=mine, ignore_removed=True)
    return {c.labels["com.docker.compose.service"]: c for c in found}


def lives(daemon: docker.DockerClient, stack: str) -> dict[str, tuple[str, str]]:
    """Id and start of each container: the same only where nothing was made or restarted."""
    return {
        service: (str(c.id), str(c.attrs["State"]["StartedAt"]))
        for service, c in containers(daemon, stack).items()
    }


def leftovers(daemon: docker.DockerClient, stack: str) -> list[str]:
    """What of the stack the daemon still has."""
    mine = of_project(project_of(stack))
    found = [str(c.name) for c in daemon.containers.list(all=True, filters=mine, sparse=True)]
    found += [str(v.name) for v in daemon.volumes.list(filters=mine)]
    found += [str(n.name) for n in daemon.networks.list(filters=mine)]
    return found


def kill_main_process(daemon: docker.DockerClient, stack: str, service: str) -> None:
    """SIGKILL from the machine: unlike `docker kill`, the daemon takes it for a crash."""
    container = containers(daemon, stack)[service]
    os.kill(int(container.attrs["State"]["Pid"]), signal.SIGKILL)
