"""The machine on which a bundle's services run, as its files name it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


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
class Host:
    """The machine on which a stack's services run, as the stack's files name it.

    Attributes:
        home: The home folder of the stack.
        data: The data folder, absolute.
        secrets: The folder of the stack's secrets, absolute.
        state: The folder of what services keep that act as whoever deploys, absolute.
        owner: The mark of the stack's services, volumes and networks.
        uid: User id of whoever deploys, as services must use it to act as that user.
        gid: Group id, likewise.
        user: The user's name.
        checks_often_at_start: Its health checks may have another interval at the start.
        no_proxy: What its containers call without the proxy that they are told of, as NO_PROXY has
            it; None where they are told of none.
        extra: The text of the user's own Compose file; "" where there is none.
    """

    home: str
    data: str
    secrets: str
    state: str
    owner: str
    uid: int
    gid: int
    user: str
    checks_often_at_start: bool = field(default=True, kw_only=True)
    no_proxy: str | None = field(default=None, kw_only=True)
    extra: str = field(default="", kw_only=True)

    @property
    def volumes_in_data(self) -> bool:
        """Services keep in the data folder what no client writes."""
        return False

    @property
    def kept(self) -> Mapping[str, Any]:
        """What was chosen for the stack and is to stay as it is from now on."""
        return {}


@dataclass(frozen=True)
class ProcessHost(Host):
    """The same where services are processes, which share the machine's ports and folders.

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

    @property
    def volumes_in_data(self) -> bool:
        """Unless the user who runs a database cannot reach that."""
        return any(Path(volume).parent == Path(self.data) for volume in self.volumes.values())

    @property
    def kept(self) -> Mapping[str, Any]:
        """Ports and folders."""
        return {"ports": dict(self.ports), "volumes": dict(self.volumes)}


@dataclass(frozen=True)
class Surroundings:
    """How the script of a service sees its files, and where its server listens.

    Attributes:
        secrets: The folder in which each secret is a file.
        auth_ini: The configuration of MLflow's login, which holds the database's password.
        scratch: A folder on the disk for artifacts on their way.
        bind: The address on which it listens.
        port: The port on which it listens.
    """

    secrets: str
    auth_ini: str
    scratch: str
    bind: str
    port: int
