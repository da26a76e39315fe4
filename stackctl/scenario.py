"""A scenario as typed data.

A scenario is one topology of MLflow tracking: which services run, where entities and artifacts
are kept, and who writes them.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from stackctl.kinds import ARTIFACTS, BACKENDS, ArtifactKind, BackendKind
from stackctl.services import SERVICES

ServiceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,30}$")]


class Scenario(BaseModel):
    """One topology.

    Attributes:
        name: The file's name without `.toml`.
        title: What it is, in a few words.
        choose: When to choose it.
        services: The services, by their names in `stackctl.services`.
        backend: The kind of backend store.
        artifacts: The kind of artifact store.
        writer: Who writes artifacts: the client itself, the tracking server (artifact proxy), or
            a second server that does nothing else.
        client: What the client's tracking URI names: the store itself, or a server.
        server: The service that answers the tracking API.
        settings: Values that differ from the defaults of `stackctl.settings`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: Annotated[str, Field(min_length=1, max_length=80)]
    choose: Annotated[str, Field(min_length=1, max_length=300)]
    services: Annotated[tuple[ServiceName, ...], Field(min_length=1)]
    backend: str
    artifacts: str
    writer: Literal["client", "server", "artifacts-server"]
    client: Literal["store", "server"] = "server"
    server: ServiceName = "tracking"
    settings: dict[str, Any] = {}

    @model_validator(mode="after")
    def _consistent(self) -> "Scenario":
        for key, value, known in (
            ("backend", self.backend, BACKENDS),
            ("artifacts", self.artifacts, ARTIFACTS),
        ):
            if value not in known:
                raise ValueError(f"{key}={value!r} is not one of {', '.join(sorted(known))}")
        for service in self.services:
            if service not in SERVICES:
                raise ValueError(
                    f"services names {service!r}, which is none; "
                    f"known: {', '.join(sorted(SERVICES))}"
                )
        if self.server not in self.services:
            raise ValueError(f"server={self.server!r} is not among services")
        if len(set(self.services)) != len(self.services):
            raise ValueError("services names one service twice")
        if self.client == "store" and not self.backend_kind.local:
            raise ValueError(f"client='store' needs a local backend, not {self.backend!r}")
        if self.writer != "client" and self.artifact_kind.local:
            raise ValueError(f"writer={self.writer!r} needs artifacts='s3'")
        return self

    @property
    def backend_kind(self) -> BackendKind:
        """What is known of where entities are kept."""
        return BACKENDS[self.backend]

    @property
    def artifact_kind(self) -> ArtifactKind:
        """What is known of where artifacts are kept."""
        return ARTIFACTS[self.artifacts]

    @property
    def servers(self) -> list[str]:
        """The services that are MLflow itself, and use the stores."""
        return [name for name in self.services if SERVICES[name].mlflow]

    @property
    def writes_to_bucket(self) -> bool:
        """Clients hold S3 keys and write artifacts themselves."""
        return self.artifacts == "s3" and self.writer == "client"

    @property
    def uses_data_folder(self) -> bool:
        """Server and clients share a folder of the machine."""
        return self.backend_kind.local or self.artifact_kind.local
