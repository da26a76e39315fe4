"""What `show` tells of stacks, as data."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stackctl.addresses import server
from stackctl.client.environment import tracking_uri
from stackctl.deployment import Deployment
from stackctl.errors import MachineError
from stackctl.machine import folder_bytes
from stackctl.observed import Observed, ServiceState, state_of
from stackctl.operations import external
from stackctl.operations.trust import Expiry, expiry
from stackctl.runtimes.base import Runtime
from stackctl.secrets import SecretState
from stackctl.stack import Manifest, Stack


@dataclass(frozen=True)
class Overview:
    """One stack, looked at once."""

    manifest: Manifest
    state: str
    tracking_uri: str
    ui: str
    services: tuple[ServiceState, ...]
    networks: tuple[str, ...]
    volumes: dict[str, int]
    data: Path | None
    data_bytes: int | None
    secrets: tuple[SecretState, ...]
    home: str
    certificate: Expiry | None
    elsewhere: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Everything as plain values; a secret's value is not among what is known."""
        return {
            "name": self.manifest.name,
            "scenario": self.manifest.scenario,
            "runtime": self.manifest.runtime,
            "state": self.state,
            "deployed_at": self.manifest.deployed_at,
            "mlflow": self.manifest.mlflow,
            "tracking_uri": self.tracking_uri,
            "ui": self.ui,
            "certificate_until": self.certificate and self.certificate.until.isoformat(),
            "home": self.home,
            "services": [_plain(service) for service in self.services],
            "networks": list(self.networks),
            "volumes": self.volumes,
            "data": str(self.data) if self.data else None,
            "data_bytes": self.data_bytes,
            "elsewhere": list(self.elsewhere),
            "secrets": [
                {**asdict(s), "changed": s.changed and s.changed.isoformat()} for s in self.secrets
            ],
        }


def brief(stack: Stack, runtime: Runtime | None) -> dict[str, str]:
    """One stack in one line; without a runtime its state is what was last known."""
    manifest = stack.require_manifest()
    settings, state = stack.settings(manifest), f"{manifest.status}?"
    if runtime is not None:
        state, _ = _seen(stack, manifest, runtime)
    return {
        "name": manifest.name,
        "scenario": manifest.scenario,
        "state": state,
        "ui": str(server(settings)),
    }


def look(deployment: Deployment) -> Overview:
    """Everything that `show` tells of one stack."""
    stack, runtime = deployment.stack, deployment.runtime
    manifest = stack.require_manifest()
    state, observed = _seen(stack, manifest, runtime)
    services = tuple(sorted(observed.services.values(), key=lambda service: service.name))
    sizes = dict.fromkeys(sorted(observed.volumes), 0)
    if sizes:
        try:
            sizes |= runtime.disk_use(stack)
        except MachineError:
            sizes = dict.fromkeys(sizes, -1)
    data = stack.data_folder(manifest)
    return Overview(
        manifest=manifest,
        state=state,
        tracking_uri=tracking_uri(deployment.scenario, deployment.settings, deployment.data),
        ui=str(deployment.addresses.server),
        services=services,
        networks=tuple(sorted(observed.networks)),
        volumes=sizes,
        data=data,
        data_bytes=folder_bytes(data) if data and data.is_dir() else None,
        secrets=tuple(stack.secrets.states(list(manifest.secrets))),
        home=str(stack.home.path),
        certificate=expiry(deployment),
        elsewhere=tuple(external.places(deployment)),
    )


def _seen(stack: Stack, manifest: Manifest, runtime: Runtime) -> tuple[str, Observed]:
    """The stack's state, and what was seen of it; of a copied home it is the original's."""
    if original := stack.copied_from(manifest):
        return f"copy of {original}", Observed()
    observed = runtime.observe(stack)
    return state_of(manifest, observed.services.values()), observed


def _plain(service: ServiceState) -> dict[str, Any]:
    values = asdict(service)
    image, one_shot = values.pop("program"), values.pop("once")
    # The words that scripts know.
    return {**values, "image": image, "one_shot": one_shot}
