"""What a bundle is: the files of a stack, and what they need."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Service:
    """What the plan needs to know of one rendered service.

    Attributes:
        name: The service.
        program: What it runs: an image's reference, or a component with its version.
        digest: Of its definition and its scripts.
        ports: The published ones by setting.
        once: It does something once and ends.
    """

    name: str
    program: str
    digest: str
    ports: Mapping[str, int]
    once: bool


@dataclass(frozen=True)
class Program:
    """What services run, and what has to be done where it is not there.

    Attributes:
        name: As `Service.program`.
        kind: `image` or `program`, for people.
        action: `build`, `pull` or `install`.
        missing: How people are told that it is not there.
    """

    name: str
    kind: str
    action: str
    missing: str


@dataclass(frozen=True)
class Bundle:
    """The files of a stack, and what they need.

    Attributes:
        project: The stack's name among what other programs of the machine show.
        files: `{relative path: (text, mode)}`.
        services: In the order in which they start.
        secrets: Names of the secrets that any service reads.
        volumes: Names of the volumes, as the services' definitions have them.
        networks: Names of the networks, likewise.
        programs: What the services run, each once, but for what every machine has.
        notes: What the user should know of how the settings were understood.
    """

    project: str
    files: Mapping[str, tuple[str, int]]
    services: tuple[Service, ...]
    secrets: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    programs: tuple[Program, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def texts(self) -> dict[str, str]:
        """The files without their modes, as `bundle_files` reads those that are there."""
        return {name: text for name, (text, _) in self.files.items()}


def project_name(stack: str) -> str:
    """The name of the stack `stack` among what other programs of the machine show."""
    return f"stackctl-{stack}"
