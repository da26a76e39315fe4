"""What a bundle is, and what rendering one for containers and for processes has in common."""

import hashlib
import json
import re
import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources.abc import Traversable
from ipaddress import ip_address
from pathlib import Path
from typing import Any, ClassVar

from jinja2 import Environment, FunctionLoader, StrictUndefined

from stackctl import resources
from stackctl.errors import BadSetting, UserError
from stackctl.hosts import allowed_hosts, cors_origins
from stackctl.locations import artifacts_server
from stackctl.scenario import Scenario
from stackctl.settings import Effective, Settings, dotenv_quoted
from stackctl.versions import MLFLOW, POSTGRES_MAJOR, PYTHON, older

_DIGEST_PLACEHOLDER = "0" * 16
_LOGIN_BESIDE_RUNS = "3.6.0"
# JSON leaves these as they are; YAML 1.1 folds them into a space, or refuses them, as TOML does.
_BREAKS = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")


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


def quoted(value: object) -> str:
    """`value` as JSON that is a YAML and a TOML scalar too."""
    text = json.dumps(value, ensure_ascii=False)
    return _BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def yaml_quoted(value: object) -> str:
    """`value` as a YAML scalar that Compose does not interpolate."""
    return quoted(value).replace("$", "$$")


@dataclass
class Rendering(ABC):
    """One rendering: what templates ask for is recorded while they are rendered.

    Every value that a user can influence passes through a filter that quotes it: `yaml` in the
    Compose file, `toml` in the description of a process, `sh` in scripts, `py` in Python.
    """

    # The folder of the services' templates, and the end of their names.
    services_folder: ClassVar[str]
    services_suffix: ClassVar[str]
    # How a definition holds its own digest.
    digest_line: ClassVar[str]

    scenario: Scenario
    effective: Effective
    place: Place
    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    volumes: set[str] = field(default_factory=set)
    published: dict[int, str] = field(default_factory=dict)
    # Of the service that is being rendered.
    service: str = ""
    scripts: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    service_image: str = ""

    @abstractmethod
    def bundle(self) -> Bundle:
        """Everything that the scenario needs."""

    @abstractmethod
    def surroundings(self, service: str) -> Surroundings:
        """How the script of `service` sees its files, and where its server listens."""

    @abstractmethod
    def address(self, service: str) -> str:
        """HOST:PORT at which the other services of the stack find `service`."""

    @abstractmethod
    def use_volume(self, name: str) -> str:
        """The volume `name`, as the service's definition names it."""

    @abstractmethod
    def use_image(self, component: str) -> str:
        """What the service runs."""

    @property
    def settings(self) -> Settings:
        """The effective settings."""
        return self.effective.settings

    @property
    def ships_mlflow(self) -> bool:
        """The servers are of the MLflow release that ships with stackctl."""
        return self.settings.mlflow_version == MLFLOW

    def refuse_shared_login(self) -> None:
        """MLflow's login and its tracking store are not to share a database, where that fails.

        Before 3.6 both kept the version of their schema in the same table
        (mlflow/server/auth/db/utils.py, 2.22.2).

        Raises:
            BadSetting: They would.
        """
        settings = self.settings
        if (
            settings.auth == "basic"
            and older(settings.mlflow_version, _LOGIN_BESIDE_RUNS)
            and not self.scenario.backend_store.local
        ):
            raise BadSetting(
                "mlflow_version",
                settings.mlflow_version,
                self.effective.sources.get("mlflow_version", "default"),
                f"auth=basic with {self.scenario.backend_store.label} needs MLflow "
                f"{_LOGIN_BESIDE_RUNS} or newer",
            )

    def services(self) -> list[str]:
        """The services that there will be, in the order in which they start."""
        return [
            name
            for name in self.scenario.services
            if not (name == "objects" and self.settings.object_store == "external")
        ]

    def render_service(self, name: str) -> tuple[Service, str]:
        """One service, and the text that defines it."""
        self.service, self.scripts, self.ports = name, {}, {}
        template = f"{self.services_folder}/{name}.{self.services_suffix}.j2"
        draft = self.text(template, name=name, digest=_DIGEST_PLACEHOLDER)
        content = json.dumps([draft, sorted(self.scripts.items())])
        digest = hashlib.sha256(content.encode()).hexdigest()[:16]
        line = self.digest_line
        text = draft.replace(line.format(_DIGEST_PLACEHOLDER), line.format(digest))
        service = Service(name, self.service_image, digest, dict(self.ports), self.one_shot(text))
        return service, text

    @abstractmethod
    def one_shot(self, definition: str) -> bool:
        """The service that `definition` defines does something once and ends."""

    def text(self, template: str, **variables: Any) -> str:
        """A template as text."""
        s3 = self.scenario.artifacts == "s3"
        if "name" in variables:
            variables["see"] = self.surroundings(variables["name"])
        return (
            _templates()
            .get_template(template)
            .render(
                scenario=self.scenario,
                settings=self.settings,
                place=self.place,
                local=self.place.local,
                project=project_name(self.settings.name),
                python=PYTHON,
                postgres_major=POSTGRES_MAJOR,
                ships_mlflow=self.ships_mlflow,
                s3_endpoint=self.s3_endpoint() if s3 else "",
                allowed_hosts=allowed_hosts(self.settings, self.servers()),
                cors_origins=cors_origins(self.settings),
                artifacts_root=self.artifacts_root(),
                address=self.address,
                secret=self.use_secret,
                volume=self.use_volume,
                script=self.use_script,
                image=self.use_image,
                port=self.use_port,
                dependencies=self.dependencies,
                **self.own_variables(),
                **variables,
            )
        )

    def own_variables(self) -> dict[str, Any]:
        """What templates of this kind of rendering may use beside what all may."""
        return {}

    def use_secret(self, name: str) -> str:
        """The secret `name`, which the stack then needs."""
        self.secrets.add(name)
        return name

    def use_script(self, name: str) -> str:
        """The path of a script, which is then part of the bundle."""
        text = self.text(f"entrypoints/{name}.j2", name=self.service)
        self.files[f"entrypoints/{name}"] = (text, 0o755)
        self.scripts[name] = text
        return f"./entrypoints/{name}"

    def use_port(self, setting: str) -> int:
        """The port that the setting names, which the service then publishes.

        Raises:
            UserError: It is not set.
            BadSetting: Another setting names the same.
        """
        port = getattr(self.settings, setting)
        if port is None:
            raise UserError(
                f"scenario {self.scenario.name} publishes {setting}, which is not set",
                hint=f"--set {setting}=PORT",
            )
        other = self.published.setdefault(port, setting)
        if other != setting:
            sources = self.effective.sources
            chosen, other = sorted((setting, other), key=lambda s: "scenario" in sources.get(s, ""))
            source = sources.get(chosen, "default")
            raise BadSetting(chosen, port, source, f"{other} has the same port")
        self.ports[setting] = port
        return int(port)

    def dependencies(self, healthy: tuple[str, ...], completed: tuple[str, ...]) -> dict[str, str]:
        """Which of the services named must be healthy, and which must have ended well."""
        there = self.services()
        return {name: "service_healthy" for name in healthy if name in there} | {
            name: "service_completed_successfully" for name in completed if name in there
        }

    def s3_endpoint(self) -> str:
        """Where the stack itself finds the bucket; "" for AWS."""
        if self.settings.object_store == "external":
            return self.settings.object_store_endpoint
        return f"http://{self.address('objects')}"

    def servers(self) -> list[str]:
        """Names by which other services may call an MLflow server."""
        return []

    def artifacts_root(self) -> str:
        """Where clients of an artifacts-only server send artifacts: it is kept with each run.

        Raises:
            UserError: It would be an address that no client can use.
        """
        hosts = self.settings.public_hosts
        everywhere = ip_address(self.settings.bind).is_unspecified
        if self.scenario.writer == "artifacts-server" and everywhere and not hosts:
            raise UserError(
                f"{self.scenario.name} keeps the address of its artifacts-only server with each "
                f"run, and bind={self.settings.bind} is none that clients can use",
                hint="name the server with --set public_hosts=HOST",
            )
        return artifacts_server(self.settings)

    def env_file(self) -> tuple[str, int]:
        """`.env`, without default versions, which would be pinned for later ones."""
        rows = [
            (key, value)
            for key, value, source in self.effective.rows()
            if value != ""
            and key != "runtime"
            and not (key.startswith("images.") and source == "default")
            and (key, value) != ("mlflow_version", MLFLOW)
        ]
        return self.text("env.j2", rows=rows), 0o644


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=FunctionLoader(template),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - YAML, TOML and shell, each value quoted by its own filter
    )
    templates.filters |= {
        "yaml": yaml_quoted,
        "toml": quoted,
        "sh": lambda value: shlex.quote(str(value)),
        "py": repr,
        "dotenv": dotenv_quoted,
    }
    return templates


def template(name: str) -> str | None:
    """The text of a file in `templates/`; None where there is none."""
    item: Traversable = resources.folder("templates")
    for part in name.split("/"):
        item = item.joinpath(part)
    return item.read_text(encoding="utf-8") if item.is_file() else None
