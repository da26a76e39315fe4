"""Commands inside a running container."""

import os
import subprocess

from docker.models.containers import Container

from tests.engine.packages import find_tool


def run_inside(
    host: str, container: Container, *command: str, user: str = "", **environment: str
) -> tuple[int, str]:
    """Run a command inside; its exit code and what it printed, of both streams.

    `host` is the address of the container's engine.

    Not by `exec_run` of docker-py (7.1.0), which at times loses what a quick command prints: it
    reads past the buffer in which the first output came along with the answer's headers.
    """
    program = find_tool("docker")
    assert program, "the program docker is not on this machine"
    named = [word for name in environment for word in ("--env", name)]
    result = subprocess.run(
        [program, "exec", "--user", user, *named, str(container.id), *command],
        env={**os.environ, "DOCKER_HOST": host, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    return result.returncode, result.stdout
