"""A stack as processes of the machine: a description of each, their scripts, supervisord.conf."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, ClassVar

from stackctl.addresses import published
from stackctl.errors import BadSetting, MachineError
from stackctl.render.bundle import Bundle, Program, Service, project_name
from stackctl.render.host import ProcessHost, Surroundings
from stackctl.render.rendering import Rendering
from stackctl.render.templates import template
from stackctl.services import SERVICES
from stackctl.urls import Url
from stackctl.versions import MLFLOW

# Settings that only containers have, and what is said where one is set.
_ONLY_CONTAINERS = ("images.", "image_flavor", "memory.", "extra.")
# How guards are started; a part of each service's digest.
_GUARD = "stackctl.runtimes.embedded.guard"
_EARLY = "stackctl.runtimes.embedded.early_mlflow"


@dataclass
class ProcessRendering(Rendering):
    """What the guards and supervisord need; every path in it is one of this machine."""

    services_folder: ClassVar[str] = "processes"
    services_suffix: ClassVar[str] = "toml"
    digest_line: ClassVar[str] = 'digest = "{}"'

    host: ProcessHost
    notes: list[str] = field(default_factory=list)

    def bundle(self) -> Bundle:
        """The files, with `supervisord.conf` as the one that names all processes."""
        self.refuse_misfits()
        rendered = [self.render_service(name) for name in self.services()]
        for service, text in rendered:
            self.files[f"processes/{service.name}.toml"] = (text, 0o644)
        services = [service for service, _ in rendered]
        # One more of a kind is nothing new for the others, whose place supervisord is told of.
        placed = sorted(services, key=lambda service: bool(SERVICES[service.name].repeats))
        conf = self.text("supervisord.conf.j2", services=placed)
        self.files["supervisord.conf"] = (conf, 0o644)
        self.files[".env"] = self.env_file()
        return Bundle(
            project=project_name(self.settings.name),
            files=dict(sorted(self.files.items())),
            services=tuple(services),
            secrets=tuple(sorted(self.secrets)),
            volumes=tuple(sorted(self.volumes)),
            programs=self.programs(services),
            notes=(*self.notes, *self.ignored_settings()),
        )

    def services(self) -> list[str]:
        """Without those that a process here does not need, or the machine does not have.

        SeaweedFS makes its bucket itself, which saves a start of Python beside MLflow's. The
        database browser is a convenience.
        """
        names = super().services()
        if "bucket" in names and self.settings.object_store == "seaweedfs":
            names.remove("bucket")
        browser = self.host.components.get("adminer")
        if "browser" in names and browser is not None and browser.missing:
            note = f"service browser is left out: {browser.missing}; {browser.mend}"
            self.notes = [note]
            names.remove("browser")
        return names

    def ignored_settings(self) -> list[str]:
        """One line for each setting that was set and has no effect on processes."""
        return [
            f"setting {key} has no effect on the embedded runtime, which runs no containers"
            for key, source in self.effective.sources.items()
            if key.startswith(_ONLY_CONTAINERS) and not source.startswith("scenario ")
        ]

    def programs(self, services: Sequence[Service]) -> tuple[Program, ...]:
        """The components: an MLflow of its own is installed, all others are there already."""
        return tuple(
            Program(component, "program", "install", "it is not installed")
            for component in dict.fromkeys(service.program for service in services)
        )

    def surroundings(self, service: str) -> Surroundings:
        """The stack's own folders, and the published port or one that was chosen."""
        secrets = self.host.secrets
        published = getattr(self.settings, self.publishes(service) or "", None)
        return Surroundings(
            secrets=secrets,
            auth_ini=f"{secrets}/auth-{service}.ini",
            scratch=f"{self.host.run}/{service}",
            bind=self.settings.bind if published else "127.0.0.1",
            port=published or self.host.ports.get(service, 0),
        )

    def inner(self, service: str) -> Url:
        """Loopback, at the port that was chosen or is published."""
        if SERVICES[service].page and not self.settings.ends_tls:
            return published(self.settings, SERVICES[service].published)
        if service == "objects" and self.publishes_objects():
            return published(self.settings, "object_store_port")
        return Url("http", "127.0.0.1", self.host.ports[service])

    def publishes_objects(self) -> bool:
        """Clients reach the object store.

        Raises:
            BadSetting: SeaweedFS would have to listen where others reach its inner ports too.
        """
        bind = ip_address(self.settings.bind)
        if not self.settings.object_store_port or "objects" in self.settings.elsewhere:
            return False
        if self.addresses.proxies_objects:
            return False
        if self.settings.object_store == "seaweedfs" and not (
            bind.version == 4 and bind.is_loopback
        ):
            raise BadSetting(
                "object_store_port",
                self.settings.object_store_port,
                self.effective.sources.get("object_store_port", "default"),
                f"on the embedded runtime SeaweedFS listens on 127.0.0.1 alone, not on {bind}; "
                "use --runtime docker, or --set object_store=minio",
            )
        return True

    def own_variables(self) -> dict[str, Any]:
        """Programs, and what a process is told that a container is not."""
        return {
            "program": self.program_path,
            "plugin": self.use_plugin,
            "published_url": lambda setting: published(self.settings, setting),
            "health_at": Url("http", "127.0.0.1", self.host.ports.get("proxy", 0)).address,
            "bound": self.settings.bind,
            "guard": _GUARD,
            "mlflow_program": self.mlflow_program,
            "own_environment": self.settings.release != MLFLOW,
            "publishes_objects": self.publishes_objects(),
        }

    def mlflow_program(self) -> str:
        """What becomes an MLflow server, as words of a script."""
        if self.settings.auth == "oidc":
            # In an environment that knows nothing of stackctl.
            self.use_script("mlflow_oidc.py")
            program = self.use_script("mlflow_server.py").removeprefix("./")
            return f"env python3 -P {shlex.quote(f'{self.host.bundle}/{program}')}"
        # Found by env: bash passes by a Python that only capabilities let this user reach.
        return f"env python3 -P -m {_EARLY}" if self.ships_mlflow else "mlflow"

    def use_volume(self, name: str) -> str:
        """The folder of a volume."""
        self.volumes.add(name)
        return self.host.volumes[name]

    def use_image(self, component: str) -> str:
        """What a component is here.

        Raises:
            MachineError: It is not on this machine.
        """
        found = self.host.components[component]
        if found.missing:
            raise MachineError(found.missing, hint=found.mend)
        self.program = found.label
        return found.label

    def program_path(self, component: str, name: str) -> str:
        """The path of a program of a component."""
        return self.host.components[component].programs[name]

    def use_plugin(self) -> str:
        """The folder, seen from that of a server, whose plug-in keeps the proxy's short cuts shut.

        A server that listens beyond loopback would send its clients to an endpoint that only this
        machine reaches.
        """
        folder = "images/mlflow"
        metadata = "Metadata-Version: 2.1\nName: stackctl-proxied-s3\nVersion: 1\n"
        plugin = template(f"{folder}/proxied_s3.py") or ""
        # A server that runs has read the one of before.
        self.scripts["proxied_s3.py"] = plugin
        self.files["plugins/proxied_s3.py"] = (plugin, 0o644)
        dist = "plugins/stackctl_proxied_s3-1.dist-info"
        self.files[f"{dist}/METADATA"] = (metadata, 0o644)
        entry_points = template(f"{folder}/proxied_s3.dist") or ""
        self.files[f"{dist}/entry_points.txt"] = (entry_points, 0o644)
        return "../../bundle/plugins"
