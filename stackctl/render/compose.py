"""A stack as containers: `compose.yaml`, entrypoint scripts, and the image's build context."""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from stackctl.addresses import by_name
from stackctl.errors import BadSetting
from stackctl.render import overlay
from stackctl.render.bundle import Bundle, Program, Service, project_name
from stackctl.render.host import Surroundings
from stackctl.render.rendering import Rendering
from stackctl.render.templates import template
from stackctl.services import SERVICES
from stackctl.urls import Url
from stackctl.versions import DEFAULT_IMAGES, requirements

# Of the proxy, in its own container.
_HEALTH = "127.0.0.1:2020"
_SERVER = "python3 -P /stackctl/mlflow_server.py"


@dataclass
class ComposeRendering(Rendering):
    """What Compose needs."""

    services_folder: ClassVar[str] = "compose"
    services_suffix: ClassVar[str] = "yaml"
    digest_line: ClassVar[str] = 'io.stackctl.digest: "{}"'

    networks: set[str] = field(default_factory=set)
    image_files: dict[str, tuple[str, int]] = field(default_factory=dict)
    extra: overlay.Overlay = field(default_factory=overlay.Overlay)

    def bundle(self) -> Bundle:
        """The files, with `compose.yaml` as the one that names all others."""
        self.refuse_misfits()
        self.refuse_provider_here()
        self.refuse_database_here()
        self.render_image()
        self.extra = overlay.read(self.host.extra, self.services(), self.effective)
        rendered = [self.render_service(name) for name in self.services()]
        compose = self.text(
            "compose/_compose.yaml.j2",
            services=[{"name": service.name, "text": text} for service, text in rendered],
            networks=sorted(self.networks),
            volumes=sorted(self.volumes),
            secrets=sorted(self.secrets),
        )
        self.files["compose.yaml"] = (compose, 0o644)
        if self.host.extra:
            # The name that Compose itself looks for.
            self.files[overlay.NAME] = (self.host.extra, 0o644)
        self.files[".env"] = self.env_file()
        return Bundle(
            project=project_name(self.settings.name),
            files=dict(sorted((self.files | self.image_files).items())),
            services=tuple(service for service, _ in rendered),
            secrets=tuple(sorted(self.secrets)),
            volumes=tuple(sorted(self.volumes)),
            networks=tuple(sorted(self.networks)),
            programs=self.programs([service for service, _ in rendered]),
        )

    def programs(self, services: Sequence[Service]) -> tuple[Program, ...]:
        """The images: one may be built from the bundle, the others are pulled."""
        built = self.tracking_image() if self.builds_image() else ""
        images = dict.fromkeys(service.program for service in services)
        actions = {image: "build" if image == built else "pull" for image in images}
        return tuple(
            Program(image, "image", action, "it is not on the daemon")
            for image, action in actions.items()
        )

    def refuse_provider_here(self) -> None:
        """A container's loopback is its own.

        Raises:
            BadSetting: The OpenID provider would be there.
        """
        if self.settings.auth == "oidc":
            issuer = self.settings.oidc.issuer
            self._refuse_here("oidc.issuer", issuer, Url.parse(issuer))

    def refuse_database_here(self) -> None:
        """The same of an external database.

        Raises:
            BadSetting: It would be there.
        """
        if self.database():
            host = self.settings.database_host
            self._refuse_here("database_host", host, Url("", host, 0))

    def _refuse_here(self, key: str, value: str, url: Url) -> None:
        if url.is_loopback:
            raise BadSetting(
                key, value, self.effective.sources.get(key, "default"),
                "containers do not reach it: loopback is the machine itself; name it by another "
                "address, or use --runtime embedded",
            )  # fmt: skip

    def merged(self, name: str) -> list[str]:
        """Its part of the user's own Compose file, so that a change of that is one of it."""
        return self.extra.parts(name)

    def render_image(self) -> None:
        """The build context of the tracking server's image."""
        if not self.builds_image():
            return
        folder = "images/mlflow"
        flavor = self.settings.image_flavor
        version = self.settings.mlflow_version
        names = ["requirements.lock"] if self.ships_mlflow else []
        names += ["conda.yml"] if flavor == "conda" else ["uv.lock"]
        names += [] if flavor == "conda" else ["proxied_s3.py", "proxied_s3.dist"]
        files = {"Dockerfile": self.text(f"{folder}/Dockerfile-{flavor}.j2")}
        for name in names:
            plain = template(f"{folder}/{name}")
            files[name] = self.text(f"{folder}/{name}.j2") if plain is None else plain
        if self.settings.auth == "oidc":
            files["requirements.lock"] = template(f"{folder}/oidc.lock") or ""
        if not self.ships_mlflow:
            files["requirements.txt"] = "".join(f"{line}\n" for line in requirements(version))
        self.image_files = {f"{folder}/{name}": (text, 0o644) for name, text in files.items()}

    def surroundings(self, service: str) -> Surroundings:
        """Folders and addresses of a container, which no other has."""
        return Surroundings(
            secrets="/run/secrets",
            auth_ini="/tmp/auth.ini",  # noqa: S108 - on a tmpfs
            scratch="/var/tmp",  # noqa: S108 - on a volume
            bind="0.0.0.0",  # noqa: S104
            port=SERVICES[service].port,
        )

    def inner(self, service: str) -> Url:
        """The service's name on the stack's network."""
        return by_name(service)

    def servers(self) -> list[str]:
        """Each MLflow server has its service's name."""
        return self.scenario.servers

    def own_variables(self) -> dict[str, Any]:
        """Networks, and whether the image is built here."""
        return {
            "use_networks": self.use_networks,
            "builds_image": self.builds_image,
            "health_at": _HEALTH,
            # Where a container listens is nobody's business but its own.
            "bound": "",
            "mlflow_program": lambda: _SERVER if self.ships_mlflow else "mlflow",
        }

    def use_volume(self, name: str) -> str:
        """A named volume."""
        self.volumes.add(name)
        return name

    def use_networks(self, published: bool, depends: Collection[str] = ()) -> list[str]:
        """The networks of a service, which are then part of the stack.

        Args:
            published: Clients reach it, or it reaches what is outside.
            depends: The services that it calls.
        """
        kind = SERVICES[self.service]
        inside = ["inside"] if depends or kind.keeps_data else []
        # One that is on no network can do nothing, not even look for what is outside.
        edge = ["edge"] if published or not inside else []
        # Another order would be another definition, and start it anew.
        found = inside + edge if kind.keeps_data else edge + inside
        self.networks |= set(found)
        return found

    def use_image(self, component: str) -> str:
        """The image of a component: pinned, chosen by a setting, or built."""
        image = (
            self.tracking_image()
            if component == "tracking"
            else self.settings.images.get(component, DEFAULT_IMAGES[component])
        )
        self.program = image
        return image

    def builds_image(self) -> bool:
        """The tracking server's image is built from the bundle."""
        return "tracking" not in self.settings.images

    def tracking_image(self) -> str:
        """The tracking server's image, named by content where it is built."""
        if not self.builds_image():
            return self.settings.images["tracking"]
        content = json.dumps(sorted(self.image_files.items()))
        digest = hashlib.sha256(content.encode()).hexdigest()[:12]
        return f"stackctl-mlflow:{self.settings.mlflow_version}-{digest}"
