"""What a bundle is: the files of a stack, and what they need."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Service:
    """What the plan needs to know of one rendered service.

    Attributes:
        name: The service.
        image: The container image, or the component, that it runs.
        digest: Of its definition and its scripts.
        ports: The published ones by setting.
        one_shot: It does something once and ends.
    """

    name: str
    image: str
    digest: str
    ports: Mapping[str, int]
    one_shot: bool


@dataclass(frozen=True)
class Bundle:
    """The files of a stack, and what they need.

    Attributes:
        project: The Compose project's name.
        files: `{relative path: (text, mode)}`.
        services: In the order in which they start.
        secrets: Names of the secrets that any service reads.
        volumes: Names of the volumes, as the Compose file has them.
        networks: Names of the networks, likewise.
        built_image: The image that is built from the bundle, "" where a given one is used.
        installs: What is installed before a service can run it, "" where all is there.
        notes: What the user should know of how the settings were understood.
    """

    project: str
    files: Mapping[str, tuple[str, int]]
    services: tuple[Service, ...]
    secrets: tuple[str, ...]
    volumes: tuple[str, ...]
    networks: tuple[str, ...]
    built_image: str = ""
    installs: str = ""
    notes: tuple[str, ...] = ()


def project_name(stack: str) -> str:
    """The name of the stack `stack` among what other programs of the machine show."""
    return f"stackctl-{stack}"
