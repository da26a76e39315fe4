"""Where a bundle will live, and what it needs to know of that place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Component:
    """A program of the machine that a service is made of, or what to do where it is missing.

    Attributes:
        name: As in templates: `mlflow`, `postgres`, `seaweedfs`.
        label: What was found, with its version, for people and for digests.
        programs: Absolute path of each of its programs.
        missing: Why it cannot be used; "" where it can.
        mend: What to do then.
    """

    name: str
    label: str = ""
    programs: Mapping[str, str] = field(default_factory=dict)
    missing: str = ""
    mend: str = ""


@dataclass(frozen=True)
class Local:
    """What processes on the machine itself need to be told, and containers do not.

    Attributes:
        components: By name.
        ports: Of listeners that only the stack itself uses, by name.
        volumes: The folder of each service that keeps data.
        run: The stack's folder for sockets, marks and what is on its way.
        bundle: The folder in which the rendered files will be.
        path: PATH of the services.
        user_base: Where Python finds what the user installed for itself alone.
        service_user: As whom services run that refuse to run as root; "" for whoever deploys.
        service_folder: The folder of the working folders of that user's services.
        mlflow_path: PATH of MLflow servers that have an environment of their own.
    """

    components: Mapping[str, Component]
    ports: Mapping[str, int]
    volumes: Mapping[str, str]
    run: str
    bundle: str
    path: str
    user_base: str
    service_user: str = ""
    service_folder: str = ""
    mlflow_path: str = ""


@dataclass(frozen=True)
class Place:
    """Where a bundle will live, and who owns its files.

    Attributes:
        home: The home folder of the stack.
        data: The data folder, absolute.
        secrets: The folder of the stack's secrets, absolute.
        owner: The mark of the stack's containers, volumes and networks.
        uid: User id of whoever deploys, as containers must use it to act as that user.
        gid: Group id, likewise.
        user: The user's name.
        local: Where services are processes of the machine; None where they are containers.
    """

    home: str
    data: str
    secrets: str
    owner: str
    uid: int
    gid: int
    user: str
    local: Local | None = None

    @property
    def holds_volumes(self) -> bool:
        """Services keep data in the data folder that are in volumes of Docker otherwise."""
        volumes = self.local.volumes.values() if self.local else ()
        return any(Path(volume).parent == Path(self.data) for volume in volumes)


@dataclass(frozen=True)
class Surroundings:
    """How the script of a service sees its files, and where its server listens.

    Attributes:
        secrets: The folder in which each secret is a file.
        auth_ini: The configuration of MLflow's login, which holds the database's password.
        scratch: A folder on the disk for artifacts on their way.
        host: The address on which it listens.
        port: The port on which it listens.
    """

    secrets: str
    auth_ini: str
    scratch: str
    host: str
    port: int
