"""(scenario, settings, place) -> bundle. Pure: no disk but the package's own templates, no clock.

Every value that a user can influence passes through a filter that quotes it: `yaml` in the
Compose file, `sh` in scripts. The same input gives the same bytes.
"""

import hashlib
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources.abc import Traversable
from ipaddress import ip_address
from typing import Any

from jinja2 import Environment, FunctionLoader, StrictUndefined

from stackctl import resources
from stackctl.errors import BadSetting, UserError
from stackctl.hosts import allowed_hosts, cors_origins
from stackctl.scenario import Scenario
from stackctl.settings import Effective, Settings, dotenv_quoted
from stackctl.versions import DEFAULT_IMAGES, MLFLOW, PYTHON

_DIGEST_PLACEHOLDER = "0" * 16
_CONTAINER_S3_PORT = 8333
# JSON leaves these as they are; YAML 1.1 folds them into a space, or refuses them.
_YAML_BREAKS = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")


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
    """

    home: str
    data: str
    secrets: str
    owner: str
    uid: int
    gid: int
    user: str


@dataclass(frozen=True)
class Service:
    """What the plan needs to know of one rendered service."""

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
    """

    project: str
    files: Mapping[str, tuple[str, int]]
    services: tuple[Service, ...]
    secrets: tuple[str, ...]
    volumes: tuple[str, ...]
    networks: tuple[str, ...]
    built_image: str


def project_name(stack: str) -> str:
    """The Compose project of the stack `stack`."""
    return f"stackctl-{stack}"


def render(scenario: Scenario, effective: Effective, place: Place) -> Bundle:
    """Everything that `scenario` needs with these settings at this place.

    Raises:
        UserError: A service of the scenario lacks a setting that it needs.
    """
    return _Rendering(scenario, effective, place).bundle()


def yaml_quoted(value: object) -> str:
    """`value` as a YAML scalar that Compose does not interpolate."""
    text = json.dumps(value, ensure_ascii=False).replace("$", "$$")
    return _YAML_BREAKS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


@dataclass
class _Rendering:
    scenario: Scenario
    effective: Effective
    place: Place
    files: dict[str, tuple[str, int]] = field(default_factory=dict)
    secrets: set[str] = field(default_factory=set)
    volumes: set[str] = field(default_factory=set)
    networks: set[str] = field(default_factory=set)
    published: dict[int, str] = field(default_factory=dict)
    image_files: dict[str, tuple[str, int]] = field(default_factory=dict)
    # Of the service that is being rendered.
    scripts: dict[str, str] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    service_image: str = ""

    @property
    def settings(self) -> Settings:
        return self.effective.settings

    def bundle(self) -> Bundle:
        self.render_image()
        services, texts = [], []
        for name in self.scenario.services:
            if name == "objects" and self.settings.object_store == "external":
                continue
            service, text = self.render_service(name)
            services.append(service)
            texts.append({"name": name, "text": text})
        compose = self.text(
            "compose.yaml.j2",
            services=texts,
            networks=sorted(self.networks),
            volumes=sorted(self.volumes),
            secrets=sorted(self.secrets),
        )
        self.files["compose.yaml"] = (compose, 0o644)
        self.files[".env"] = (self.text("env.j2", rows=self.env_rows()), 0o644)
        return Bundle(
            project=project_name(self.settings.name),
            files=dict(sorted((self.files | self.image_files).items())),
            services=tuple(services),
            secrets=tuple(sorted(self.secrets)),
            volumes=tuple(sorted(self.volumes)),
            networks=tuple(sorted(self.networks)),
            built_image=self.tracking_image() if self.builds_image() else "",
        )

    def render_service(self, name: str) -> tuple[Service, str]:
        self.scripts, self.ports = {}, {}
        template = f"services/{name}.yaml.j2"
        draft = self.text(template, name=name, digest=_DIGEST_PLACEHOLDER)
        content = json.dumps([draft, sorted(self.scripts.items())])
        digest = hashlib.sha256(content.encode()).hexdigest()[:16]
        label = 'io.stackctl.digest: "{}"'
        text = draft.replace(label.format(_DIGEST_PLACEHOLDER), label.format(digest))
        one_shot = 'restart: "no"' in text.splitlines()
        return Service(name, self.service_image, digest, dict(self.ports), one_shot), text

    def render_image(self) -> None:
        """The build context of the tracking server's image."""
        if not self.builds_image():
            return
        folder = "images/mlflow"
        flavor = self.settings.image_flavor
        names = ["requirements.lock"]
        names += ["conda.yml"] if flavor == "conda" else ["uv.lock"]
        names += [] if flavor == "conda" else ["proxied_s3.py", "proxied_s3.dist"]
        files = {"Dockerfile": self.text(f"{folder}/Dockerfile-{flavor}.j2")}
        for name in names:
            plain = _template(f"{folder}/{name}")
            files[name] = self.text(f"{folder}/{name}.j2") if plain is None else plain
        self.image_files = {f"{folder}/{name}": (text, 0o644) for name, text in files.items()}

    def text(self, template: str, **variables: Any) -> str:
        s3 = self.scenario.artifacts == "s3"
        return (
            _templates()
            .get_template(template)
            .render(
                scenario=self.scenario,
                settings=self.settings,
                place=self.place,
                project=project_name(self.settings.name),
                python=PYTHON,
                s3_endpoint=self.s3_endpoint() if s3 else "",
                allowed_hosts=allowed_hosts(self.settings, self.servers()),
                cors_origins=cors_origins(self.settings),
                artifacts_root=self.artifacts_root(),
                secret=self.use_secret,
                volume=self.use_volume,
                network=self.use_network,
                script=self.use_script,
                image=self.use_image,
                port=self.use_port,
                builds_image=self.builds_image,
                dependencies=self.dependencies,
                **variables,
            )
        )

    def use_secret(self, name: str) -> str:
        self.secrets.add(name)
        return name

    def use_volume(self, name: str) -> str:
        self.volumes.add(name)
        return name

    def use_network(self, name: str) -> str:
        self.networks.add(name)
        return name

    def use_script(self, name: str) -> str:
        text = self.text(f"entrypoints/{name}.j2", name=name)
        self.files[f"entrypoints/{name}"] = (text, 0o755)
        self.scripts[name] = text
        return f"./entrypoints/{name}"

    def use_image(self, component: str) -> str:
        image = (
            self.tracking_image()
            if component == "tracking"
            else self.settings.images.get(component, DEFAULT_IMAGES[component])
        )
        self.service_image = image
        return image

    def use_port(self, setting: str) -> int:
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

    def builds_image(self) -> bool:
        return "tracking" not in self.settings.images

    def tracking_image(self) -> str:
        if not self.builds_image():
            return self.settings.images["tracking"]
        content = json.dumps(sorted(self.image_files.items()))
        return f"stackctl-mlflow:{MLFLOW}-{hashlib.sha256(content.encode()).hexdigest()[:12]}"

    def dependencies(self, healthy: tuple[str, ...], completed: tuple[str, ...]) -> dict[str, str]:
        there = [
            name
            for name in self.scenario.services
            if not (name == "objects" and self.settings.object_store == "external")
        ]
        return {name: "service_healthy" for name in healthy if name in there} | {
            name: "service_completed_successfully" for name in completed if name in there
        }

    def s3_endpoint(self) -> str:
        if self.settings.object_store == "external":
            return self.settings.object_store_endpoint
        return f"http://objects:{_CONTAINER_S3_PORT}"

    def servers(self) -> list[str]:
        return [name for name in self.scenario.services if name in ("ui", "tracking", "artifacts")]

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
        host = hosts[0].partition(":")[0] if hosts else self.settings.bind
        host = f"[{host}]" if ":" in host else host
        return f"mlflow-artifacts://{host}:{self.settings.artifacts_port}"

    def env_rows(self) -> list[tuple[str, str]]:
        """Settings for .env: not the default images, which would pin them for later versions."""
        return [
            (key, value)
            for key, value, source in self.effective.rows()
            if value != "" and not (key.startswith("images.") and source == "default")
        ]


@cache
def _templates() -> Environment:
    templates = Environment(
        loader=FunctionLoader(_template),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - YAML and shell, each value quoted by its own filter
    )
    templates.filters |= {
        "yaml": yaml_quoted,
        "sh": lambda value: shlex.quote(str(value)),
        "dotenv": dotenv_quoted,
    }
    return templates


def _template(name: str) -> str | None:
    item: Traversable = resources.folder("templates")
    for part in name.split("/"):
        item = item.joinpath(part)
    return item.read_text(encoding="utf-8") if item.is_file() else None
