"""A stack as it is now, as its runtime tells."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from stackctl.stack import HALF_DONE, Manifest

State = Literal[
    "created", "running", "restarting", "stopping", "stopped", "exited", "paused", "dead"
]


@dataclass(frozen=True)
class ServiceState:
    """One service as it is now.

    Attributes:
        name: The service.
        state: `created` and never started; `running`; `restarting` after it ended; `stopping`;
            `stopped` on request; `exited` by itself; `paused`; `dead`, given up.
        health: `healthy`, `unhealthy`, `starting`, or "" where it has no check.
        exit_code: Of the last end; 0 while it runs.
        digest: Of the definition from which it was made.
        program: What it runs.
        ports: Published, as `127.0.0.1:5000`.
        out_of_memory: It was ended because of its memory limit.
        once: It does something once, and ends.
    """

    name: str
    state: State
    health: str = ""
    exit_code: int = 0
    digest: str = ""
    program: str = ""
    ports: tuple[str, ...] = ()
    out_of_memory: bool = False
    once: bool = False

    @property
    def settled(self) -> bool:
        """It does what it is for: runs and is healthy, or ended well."""
        if self.state == "exited":
            return self.once and self.exit_code == 0
        return self.state == "running" and self.health in ("", "healthy")

    def __str__(self) -> str:
        if self.state == "exited":
            return f"exited ({self.exit_code})"
        return f"{self.state}, {self.health}" if self.health else self.state


@dataclass(frozen=True)
class Observed:
    """A stack as it is now.

    Attributes:
        services: By name; one that was never started, or is removed, is absent.
        volumes: Names, as in the bundle.
        networks: Names, as in the bundle.
        programs: Those of the bundle's programs that are there.
    """

    services: Mapping[str, ServiceState] = field(default_factory=dict)
    volumes: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    programs: frozenset[str] = frozenset()

    def unsettled(self, names: Iterable[str]) -> list[str]:
        """Which of these services do not do what they are for, or are not there."""
        there = self.services
        return [name for name in names if name not in there or not there[name].settled]


def state_of(manifest: Manifest, services: Iterable[ServiceState]) -> str:
    """`running`, `starting`, `degraded`, `stopped`, or a status of the manifest."""
    services = tuple(services)
    if manifest.status in HALF_DONE:
        return manifest.status
    if not services:
        return manifest.status if manifest.status in ("removed", "deploying") else "stopped"
    if all(service.settled for service in services):
        return "running"
    if all(service.settled or service.health == "starting" for service in services):
        return "starting"
    if any(service.state == "running" for service in services):
        return "degraded"
    return "stopped"
