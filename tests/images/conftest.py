"""Containers for the tests of the images: labelled, with secrets inside, removed afterwards."""

import io
import tarfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import docker
import pytest
from docker.models.containers import Container

from tests.engine import Engine
from tests.engine.inside import run_inside
from tests.engine.waiting import wait_until
from tests.images import Provenance

TEST_LABEL = {"io.stackctl.test": "1"}
# Neither root nor any user of an image: as a secret's file that the deploying user owns.
STRANGER_UID = 12345


@dataclass
class Box:
    """A container under test."""

    host: str
    container: Container
    _ports: dict[int, str] = field(default_factory=dict)

    def run(self, *command: str, user: str = "", **environment: str) -> tuple[int, str]:
        """Run a command inside; its exit code and what it printed."""
        return run_inside(self.host, self.container, *command, user=user, **environment)

    def log(self) -> str:
        return self.container.logs().decode(errors="replace")

    def is_running(self) -> bool:
        self.container.reload()
        return self.container.status == "running"

    def url(self, port: int) -> str:
        """Where this machine reaches a published port."""
        if port not in self._ports:
            self.container.reload()
            published = self.container.ports[f"{port}/tcp"]
            assert published, f"port {port} is not published"
            self._ports[port] = published[0]["HostPort"]
        return f"http://127.0.0.1:{self._ports[port]}"

    def await_line(self, line: str, *, seconds: float = 90.0) -> None:
        """Wait until the log holds `line`; a container that ended before is a failure."""

        def logged() -> bool:
            if line in self.log():
                return True
            assert self.is_running(), f"{self.container.name} ended:\n{self.log()}"
            return False

        wait_until(logged, f"{line!r} in the log", seconds=seconds)

    def await_end(self, *, seconds: float = 60.0) -> int:
        """Wait for the container to end by itself; its exit code."""
        wait_until(lambda: not self.is_running(), "the container to end", seconds=seconds)
        return int(self.container.attrs["State"]["ExitCode"])


Start = Callable[..., Box]


@pytest.fixture
def start(
    engine: Engine, docker_client: docker.DockerClient, images: dict[str, Provenance]
) -> Iterator[Start]:
    """`start("postgres", command, environment=..., secrets={"name": "value"}, ports=[5432])`.

    Secrets are files of mode 0600 below /run/secrets, owned by a stranger. `files` are further
    ones, by path, with mode 0755. A volume the container makes goes with it.
    """
    started: list[Container] = []

    def start_one(
        name: str,
        command: list[str] | None = None,
        *,
        secrets: dict[str, str] | None = None,
        files: dict[str, str] | None = None,
        ports: tuple[int, ...] = (),
        **options: Any,
    ) -> Box:
        provenance = images[name]
        if provenance.source == "missing":
            pytest.skip(f"{provenance.image} {provenance.detail}")
        container = docker_client.containers.create(
            provenance.image,
            command,
            name=f"stackctl-test-{uuid.uuid4().hex[:12]}",
            labels=TEST_LABEL,
            ports={f"{port}/tcp": ("127.0.0.1", 0) for port in ports},
            **options,
        )
        started.append(container)
        inside = {f"run/secrets/{key}": (text, 0o600) for key, text in (secrets or {}).items()}
        inside |= {path.lstrip("/"): (text, 0o755) for path, text in (files or {}).items()}
        if inside:
            container.put_archive("/", _archive(inside))
        container.start()
        return Box(engine.host, container)

    yield start_one
    for container in started:
        container.remove(force=True, v=True)


def _archive(inside: dict[str, tuple[str, int]]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, (text, mode) in inside.items():
            content = text.encode()
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), mode
            entry.uid = entry.gid = STRANGER_UID
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
