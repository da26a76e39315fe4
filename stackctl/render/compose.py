"""A stack as containers: `compose.yaml`, entrypoint scripts, and the image's build context."""

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, ClassVar

from stackctl.addresses import Url
from stackctl.render.bundle import Bundle, project_name
from stackctl.render.place import Surroundings
from stackctl.render.rendering import Rendering
from stackctl.render.templates import template
from stackctl.versions import DEFAULT_IMAGES, requirements

_PORTS = {"postgres": 5432, "mysql": 3306, "objects": 8333}
_MLFLOW_PORT = 5000


@dataclass
class ComposeRendering(Rendering):
    """What Compose needs."""

    services_folder: ClassVar[str] = "services"
    services_suffix: ClassVar[str] = "yaml"
    digest_line: ClassVar[str] = 'io.stackctl.digest: "{}"'

    networks: set[str] = field(default_factory=set)
    image_files: dict[str, tuple[str, int]] = field(default_factory=dict)

    def bundle(self) -> Bundle:
        """The files, with `compose.yaml` as the one that names all others."""
        self.refuse_shared_login()
        self.render_image()
        rendered = [self.render_service(name) for name in self.services()]
        compose = self.text(
            "compose.yaml.j2",
            services=[{"name": service.name, "text": text} for service, text in rendered],
            networks=sorted(self.networks),
            volumes=sorted(self.volumes),
            secrets=sorted(self.secrets),
        )
        self.files["compose.yaml"] = (compose, 0o644)
        self.files[".env"] = self.env_file()
        return Bundle(
            project=project_name(self.settings.name),
            files=dict(sorted((self.files | self.image_files).items())),
            services=tuple(service for service, _ in rendered),
            secrets=tuple(sorted(self.secrets)),
            volumes=tuple(sorted(self.volumes)),
            networks=tuple(sorted(self.networks)),
            built_image=self.tracking_image() if self.builds_image() else "",
        )

    def one_shot(self, definition: str) -> bool:
        """Compose is not to start it again."""
        return 'restart: "no"' in definition.splitlines()

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
        if not self.ships_mlflow:
            files["requirements.txt"] = "".join(f"{line}\n" for line in requirements(version))
        self.image_files = {f"{folder}/{name}": (text, 0o644) for name, text in files.items()}

    def surroundings(self, service: str) -> Surroundings:
        """Folders and addresses of a container, which no other has."""
        return Surroundings(
            secrets="/run/secrets",
            auth_ini="/tmp/auth.ini",  # noqa: S108 - on a tmpfs
            scratch="/var/tmp",  # noqa: S108 - on a volume
            host="0.0.0.0",  # noqa: S104
            port=_PORTS.get(service, _MLFLOW_PORT),
        )

    def inner(self, service: str) -> Url:
        """The service's name on the stack's network."""
        return Url("http", service, _PORTS[service])

    def servers(self) -> list[str]:
        """Each MLflow server has its service's name."""
        return self.scenario.servers

    def own_variables(self) -> dict[str, Any]:
        """Networks, and whether the image is built here."""
        return {"network": self.use_network, "builds_image": self.builds_image}

    def use_volume(self, name: str) -> str:
        """A named volume."""
        self.volumes.add(name)
        return name

    def use_network(self, name: str) -> str:
        """A network, which is then part of the stack."""
        self.networks.add(name)
        return name

    def use_image(self, component: str) -> str:
        """The image of a component: pinned, chosen by a setting, or built."""
        image = (
            self.tracking_image()
            if component == "tracking"
            else self.settings.images.get(component, DEFAULT_IMAGES[component])
        )
        self.service_image = image
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
