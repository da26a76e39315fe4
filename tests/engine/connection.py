"""Asking an engine whether it is there."""

import os
from pathlib import Path

import docker
import requests
from docker.utils import kwargs_from_env

PING_SECONDS = 5


def connect(host: str, *, timeout: int = 60) -> docker.DockerClient:
    """A client of the engine at `host`, with the TLS settings of the environment if there are any.

    The caller closes it. Raises docker.errors.DockerException where nothing answers.
    """
    settings = kwargs_from_env(environment={**os.environ, "DOCKER_HOST": host})
    return docker.DockerClient(version="auto", timeout=timeout, **settings)


def version_at(host: str, *, timeout: int = PING_SECONDS) -> str | None:
    """The version of the engine at `host`, or None where none answers in `timeout` seconds."""
    if host.startswith("unix://") and not Path(host.removeprefix("unix://")).is_socket():
        return None
    try:
        client = connect(host, timeout=timeout)
    except (docker.errors.DockerException, requests.RequestException):
        return None
    try:
        return str(client.version()["Version"])
    except (docker.errors.DockerException, requests.RequestException):
        return None
    finally:
        client.close()


def usual_hosts() -> list[str]:
    """Where an engine that somebody else runs would answer: DOCKER_HOST alone, if it is set."""
    named = os.environ.get("DOCKER_HOST")
    if named:
        return [named]
    sockets = [Path("/var/run/docker.sock"), Path.home() / ".docker/run/docker.sock"]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        sockets.append(Path(runtime) / "docker.sock")
    return [f"unix://{socket}" for socket in sockets]
