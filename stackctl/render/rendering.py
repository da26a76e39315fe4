"""What rendering a bundle has in common, whatever runs its services."""

import hashlib
import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, ClassVar

from stackctl.addresses import Addresses
from stackctl.errors import BadSetting, UserError
from stackctl.render.bundle import Bundle, Service, project_name
from stackctl.render.database import ExternalDatabase, external
from stackctl.render.host import Host, Surroundings
from stackctl.render.templates import environment, template
from stackctl.scenario import Scenario
from stackctl.services import SERVICES
from stackctl.settings import Effective, Settings
from stackctl.urls import Url
from stackctl.versions import MLFLOW, POSTGRES_MAJOR, PYTHON, older

_DIGEST_PLACEHOLDER = "0" * 16
_LOGIN_BESIDE_RUNS = "3.6.0"
# The first server that tells its clients whether it signs addresses (mlflow/server/handlers.py).
_SIGNED = "3.15.0"


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
    host: Host
    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    volumes: set[str] = field(default_factory=set)
    published: dict[int, str] = field(default_factory=dict)
    # Of the service that is being rendered.
    service: str = ""
    scripts: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    program: str = ""

    @abstractmethod
    def bundle(self) -> Bundle:
        """Everything that the scenario needs."""

    @abstractmethod
    def surroundings(self, service: str) -> Surroundings:
        """How the script of `service` sees its files, and where its server listens."""

    @abstractmethod
    def inner(self, service: str) -> Url:
        """Where the other services of the stack find `service`."""

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
    def addresses(self) -> Addresses:
        """Where the stack is reached from outside."""
        return Addresses(self.scenario, self.settings)

    @property
    def ships_mlflow(self) -> bool:
        """The servers are of the MLflow release that ships with stackctl."""
        return self.settings.mlflow_version == MLFLOW

    def refuse_misfits(self) -> None:
        """The settings go with the scenario and with each other.

        Raises:
            BadSetting: One does not.
        """
        self.refuse_shared_login()
        self.refuse_single_sign_on()
        self.refuse_workspaces()
        self.refuse_replicas()
        self.refuse_transfers()
        self.refuse_external_database()

    def refuse_shared_login(self) -> None:
        """MLflow's login and its tracking store are not to share a database, where that fails.

        Before 3.6 both kept the version of their schema in the same table
        (mlflow/server/auth/db/utils.py, 2.22.2).

        Raises:
            BadSetting: They would.
        """
        settings, store, why = self.settings, self.scenario.backend_kind, ""
        if settings.auth != "basic" or store.local:
            return
        if older(settings.mlflow_version, _LOGIN_BESIDE_RUNS):
            why = f"auth=basic with {store.label} needs MLflow {_LOGIN_BESIDE_RUNS} or newer"
        elif self.scenario.backend == "mysql" and not self.ships_mlflow:
            why = (
                "this MLflow cannot make the tables of its own login in MySQL; stackctl has that "
                f"mended for {MLFLOW} alone"
            )
        if why:
            source = self.effective.sources.get("mlflow_version", "default")
            raise BadSetting("mlflow_version", settings.mlflow_version, source, why)

    def refuse_single_sign_on(self) -> None:
        """Single sign-on goes with the scenario and with what servers are made of.

        Raises:
            BadSetting: It does not.
        """
        if self.settings.auth == "oidc" and (why := self._why_no_sign_on()):
            source = self.effective.sources.get("auth", "default")
            raise BadSetting("auth", "oidc", source, why)

    def _why_no_sign_on(self) -> str:
        settings, scenario = self.settings, self.scenario
        other = "; scenario-3b, scenario-4 and scenario-5 can have it"
        if scenario.client == "store":
            return f"clients of {scenario.name} go to its store past any login{other}"
        if scenario.backend not in ("sqlite", "postgres"):
            label = scenario.backend_kind.label
            return f"its tables are tried with SQLite and PostgreSQL, not with {label}{other}"
        if scenario.writer == "artifacts-server":
            return f"the artifacts-only server of {scenario.name} cannot ask for it{other}"
        if not self.ships_mlflow:
            return (
                f"it is locked together with MLflow {MLFLOW}, and mlflow_version is "
                f"{settings.mlflow_version}"
            )
        if settings.image_flavor == "conda" or "tracking" in settings.images:
            return "only images of the flavors slim and user have it"
        if settings.server.args.keys() & {"gunicorn-opts", "waitress-opts"}:
            return "it is served by uvicorn alone; leave server.args.gunicorn-opts out"
        if self.addresses.prefix:
            return "its pages are at the root of a name; give public_url no path"
        if settings.database == "external":
            return "the tables of its people are in no backup of an external database"
        return ""

    def refuse_workspaces(self) -> None:
        """Files are kept without workspaces.

        Raises:
            BadSetting: They are asked for.
        """
        if self.settings.workspaces and not self.scenario.backend_kind.takes_rows:
            raise BadSetting(
                "workspaces", "true", self.effective.sources.get("workspaces", "default"),
                f"MLflow has workspaces in databases, and {self.scenario.name} keeps files",
            )  # fmt: skip

    def refuse_replicas(self) -> None:
        """Several servers share a database that is a server itself.

        Raises:
            BadSetting: They would write one file.
        """
        wanted = self.settings.replicas
        if wanted > 1 and self.scenario.backend_kind.local:
            raise BadSetting(
                "replicas", wanted, self.effective.sources.get("replicas", "default"),
                f"several servers share PostgreSQL or MySQL, and {self.scenario.name} keeps "
                f"{self.scenario.backend_kind.label}",
            )  # fmt: skip

    def refuse_transfers(self) -> None:
        """Clients can only go past a server that is between them and a bucket they can reach.

        Raises:
            BadSetting: There is no such server, or no such bucket.
        """
        if self.settings.transfers == "direct" and (why := self._why_not_direct()):
            source = self.effective.sources.get("transfers", "default")
            raise BadSetting("transfers", "direct", source, why)

    def refuse_external_database(self) -> None:
        """A database that somebody else runs takes the place of one that the scenario has.

        Raises:
            BadSetting: It has none, or that has no schemas.
        """
        settings, backend = self.settings, self.scenario.backend
        if settings.database != "external":
            return
        key, why = "database", ""
        if not self.scenario.backend_kind.service:
            label = self.scenario.backend_kind.label
            why = (f"{self.scenario.name} keeps {label}; scenario-4, scenario-5, scenario-6 and "
                   "scenario-3b-mysql have a database that can be another one")  # fmt: skip
        elif settings.database_schema and backend != "postgres":
            key, why = "database_schema", "in MySQL a schema is a database: database_name"
        if why:
            source = self.effective.sources.get(key, "default")
            raise BadSetting(key, getattr(settings, key), source, why)

    def database(self) -> ExternalDatabase | None:
        """The database that somebody else runs; None where the stack has its own."""
        if self.scenario.backend_kind.service not in self.settings.elsewhere:
            return None
        secrets = self.surroundings(self.scenario.server).secrets
        return external(self.scenario.backend, self.settings, secrets)

    def _why_not_direct(self) -> str:
        settings, scenario, public = self.settings, self.scenario, self.addresses.public
        other = "; scenario-5 and scenario-6 have a server that signs addresses of a bucket"
        if scenario.artifacts != "s3":
            return f"{scenario.name} keeps artifacts in a folder{other}"
        if scenario.writer == "client":
            return f"clients of {scenario.name} write to the bucket themselves{other}"
        if older(settings.mlflow_version, _SIGNED):
            return (
                f"mlflow_version is {settings.mlflow_version}, and MLflow tells its clients of "
                f"signed addresses since {_SIGNED}"
            )
        if settings.image_flavor == "conda" or "tracking" in settings.images:
            return "only images of the flavors slim and user have what signs addresses for clients"
        if "objects" in settings.elsewhere:
            return ""
        if settings.tls == "elsewhere":
            return (
                "a proxy of yours would have to lead to the object store, whose address the "
                "server cannot know; use tls=acme, internal or files, or an external object store"
            )
        if settings.object_store_port is None:
            return "clients have to reach the object store: --set object_store_port=PORT"
        if public and public.port == settings.object_store_port:
            return (
                f"object_store_port={settings.object_store_port} is the port of public_url; choose "
                "another: --set object_store_port=PORT"
            )
        return ""

    def uvicorn(self) -> str:
        """What uvicorn is told by whoever starts it, as words."""
        # Clients and proxies keep a connection for a minute; one that was closed meanwhile loses a
        # call.
        own = ["--timeout-keep-alive", "75"]
        if self.settings.log_level != "info":
            own += ["--log-level", self.settings.log_level]
        return self.settings.server.uvicorn(own)

    def services(self) -> list[str]:
        """The services that there will be, in the order in which they start."""
        return self.settings.services(self.scenario.services)

    def publishes(self, service: str) -> str:
        """The setting that names the port at which clients reach a service; "" where none do."""
        hidden = self.settings.ends_tls and any(service in one for one in self.proxied().values())
        return "" if hidden else SERVICES[service].published

    def proxied(self) -> dict[str, list[str]]:
        """The services to which the proxy leads, by the settings of the ports that lead there."""
        pages = (name for name in self.services() if SERVICES[name].page)
        behind = [*self.scenario.servers, *(name for name in pages if not SERVICES[name].mlflow)]
        behind += ["objects"] if self.addresses.proxies_objects else []
        return {SERVICES[name].published: self.settings.each([name]) for name in behind}

    def published_by_proxy(self) -> list[str]:
        """The settings of the ports at which the proxy listens."""
        return [*self.proxied(), *(["http_port"] if self.settings.http_port else [])]

    def render_service(self, name: str) -> tuple[Service, str]:
        """One service, and the text that defines it."""
        self.service, self.scripts, self.ports = name, {}, {}
        kind = SERVICES[name]
        template = f"{self.services_folder}/{kind.template}.{self.services_suffix}.j2"
        draft = self.text(template, name=name, digest=_DIGEST_PLACEHOLDER)
        content = json.dumps([draft, sorted(self.scripts.items()), *self.merged(name)])
        digest = hashlib.sha256(content.encode()).hexdigest()[:16]
        line = self.digest_line
        text = draft.replace(line.format(_DIGEST_PLACEHOLDER), line.format(digest))
        service = Service(name, self.program, digest, dict(self.ports), kind.once)
        return service, text

    def merged(self, name: str) -> list[str]:
        """What of the user's own becomes a part of a service's definition."""
        return []

    def script(self, service: str, template: str) -> str:
        """The script `entrypoints/TEMPLATE` as `service` would run it; it is in no bundle."""
        return self.text(f"entrypoints/{template}.j2", name=service)

    def text(self, template: str, **variables: Any) -> str:
        """A template as text."""
        s3 = self.scenario.artifacts == "s3"
        if "name" in variables:
            variables["see"] = self.surroundings(variables["name"])
            variables["kind"] = SERVICES[variables["name"]]
        return (
            environment()
            .get_template(template)
            .render(
                scenario=self.scenario,
                settings=self.settings,
                host=self.host,
                project=project_name(self.settings.name),
                python=PYTHON,
                postgres_major=POSTGRES_MAJOR,
                ships_mlflow=self.ships_mlflow,
                s3_endpoint=self.s3_endpoint() if s3 else "",
                allowed_hosts=self.addresses.allowed_hosts(self.servers()),
                cors_origins=self.addresses.cors_origins(),
                artifacts_root=self.artifacts_root(),
                inner=self.inner,
                prefix=self.addresses.prefix,
                server=str(self.addresses.server),
                uvicorn=self.uvicorn(),
                proxied=self.proxied(),
                transfers=self.addresses.transfers,
                database=self.database(),
                published_by_proxy=self.published_by_proxy(),
                proxies_objects=self.addresses.proxies_objects,
                secret=self.use_secret,
                volume=self.use_volume,
                script=self.use_script,
                configuration=self.use_configuration,
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
        kind = SERVICES[self.service]
        # One that repeats another has a script of its own, for it may listen elsewhere.
        own = name == f"{kind.name}.sh"
        made_of = f"{kind.template}.sh" if own else name
        return self.use_file(f"entrypoints/{name}", 0o755, f"entrypoints/{made_of}")

    def use_file(self, name: str, mode: int = 0o644, made_of: str = "") -> str:
        """The path of a file that the service reads, which is then part of the bundle."""
        made_of = made_of or name
        plain = template(made_of)
        text = self.text(f"{made_of}.j2", name=self.service) if plain is None else plain
        self.files[name] = (text, mode)
        self.scripts[name.rpartition("/")[2]] = text
        return f"./{name}"

    def use_configuration(self) -> str:
        """The path of the file that the service reads anew while it runs: no part of what it is."""
        name = SERVICES[self.service].configuration
        self.files[name] = (self.text(f"{name}.j2", name=self.service), 0o644)
        return f"./{name}"

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
            chosen, other = sorted((setting, other), key=lambda s: _farness(sources.get(s, "")))
            source = sources.get(chosen, "default")
            why = f"{other} has the same port; choose another with --set {chosen}=PORT"
            raise BadSetting(chosen, port, source, why)
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
        if "objects" in self.settings.elsewhere:
            return self.settings.object_store_endpoint
        return str(self.inner("objects"))

    def servers(self) -> list[str]:
        """Names by which other services may call an MLflow server."""
        return []

    def artifacts_root(self) -> str:
        """Where clients of an artifacts-only server send artifacts: it is kept with each run.

        Raises:
            UserError: It would be an address that no client can use.
        """
        settings, hosts = self.settings, self.settings.public_hosts
        everywhere = ip_address(settings.bind).is_unspecified
        named = hosts or settings.public_url
        if self.scenario.writer == "artifacts-server" and everywhere and not named:
            raise UserError(
                f"{self.scenario.name} keeps the address of its artifacts-only server with each "
                f"run, and bind={settings.bind} is none that clients can use",
                hint="name the server with --set public_hosts=HOST",
            )
        return self.addresses.artifacts_location()

    def env_file(self) -> tuple[str, int]:
        """`.env`, without default versions, which would be pinned for later ones."""
        rows = [
            (key, value)
            for key, value, source in self.effective.rows()
            if value != ""
            and key != "runtime"
            and not (key.startswith("database_") and self.settings.database == "own")
            and not (key.startswith("images.") and source == "default")
            and (key, value) != ("mlflow_version", MLFLOW)
        ]
        return self.text("env.j2", rows=rows), 0o644


def _farness(source: str) -> int:
    """How far from the words of this call a setting's source is."""
    return 0 if source.startswith("--") else 2 if not source or "scenario" in source else 1
