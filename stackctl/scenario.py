"""A scenario file as typed data.

A scenario is one topology of MLflow tracking: which services run, where entities and artifacts
are kept, and who writes them. Adding one means adding one file `scenarios/NAME.toml`.
"""

import re
import tomllib
from functools import cache
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from stackctl import resources
from stackctl.errors import BadScenario, BadSetting, UnknownName
from stackctl.stores import ARTIFACTS, BACKENDS, ArtifactStore, BackendStore

ServiceName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,30}$")]


class Scenario(BaseModel):
    """One topology.

    Attributes:
        name: The file's name without `.toml`.
        title: What it is, in a few words.
        choose: When to choose it.
        services: The services, in the order in which they start; each is a template in
            `templates/services/`.
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
        templates = service_templates()
        for service in self.services:
            if service not in templates:
                raise ValueError(
                    f"services names {service!r}, which has no template; "
                    f"known: {', '.join(templates)}"
                )
        if self.server not in self.services:
            raise ValueError(f"server={self.server!r} is not among services")
        if len(set(self.services)) != len(self.services):
            raise ValueError("services names one service twice")
        if self.client == "store" and not self.backend_store.local:
            raise ValueError(f"client='store' needs a local backend, not {self.backend!r}")
        if self.writer != "client" and self.artifact_store.local:
            raise ValueError(f"writer={self.writer!r} needs artifacts='s3'")
        return self

    @property
    def backend_store(self) -> BackendStore:
        """Where entities are kept."""
        return BACKENDS[self.backend]

    @property
    def artifact_store(self) -> ArtifactStore:
        """Where artifacts are kept."""
        return ARTIFACTS[self.artifacts]

    @property
    def servers(self) -> list[str]:
        """The services that are MLflow itself, and use the stores."""
        return [name for name in self.services if name in ("ui", "tracking", "artifacts")]

    @property
    def uses_data_folder(self) -> bool:
        """Server and clients share a folder of the machine."""
        return self.backend_store.local or self.artifact_store.local


def load_all(own: Path | None = None) -> dict[str, Scenario]:
    """Every scenario by name: those of stackctl, then those in the folder `own`, which override.

    Raises:
        BadScenario: A file cannot be read as a scenario.
    """
    found = {name: parse(name, item) for name, item in _files(own).items()}
    return dict(sorted(found.items()))


def load(name: str, own: Path | None = None) -> Scenario:
    """The scenario `name`.

    Raises:
        UnknownName: There is none; the error names the nearest.
        BadScenario: Its file cannot be read as a scenario.
    """
    found = _files(own)
    if name not in found:
        raise UnknownName("scenario", name, list(found))
    return parse(name, found[name])


def names(own: Path | None = None) -> list[str]:
    """The names of all scenarios, without reading their files."""
    return sorted(_files(own))


@cache
def service_templates() -> list[str]:
    """The services that scenarios can name."""
    return sorted(
        item.name.removesuffix(".yaml.j2")
        for item in resources.folder("templates").joinpath("services").iterdir()
        if item.name.endswith(".yaml.j2") and not item.name.startswith("_") and "-" not in item.name
    )


def parse(name: str, item: Traversable) -> Scenario:
    """One scenario file.

    Raises:
        BadScenario: Naming file, line and key.
    """
    path = str(item)
    try:
        text = item.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadScenario(path, 0, "file", str(error)) from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"line (\d+)", str(error))
        number = int(line[1]) if line else text.count("\n") + 1
        raise BadScenario(path, number, "syntax", str(error)) from error
    try:
        found = Scenario(**{**values, "name": name})
    except ValidationError as error:
        first = error.errors()[0]
        reason = first["msg"].removeprefix("Value error, ")
        key = str(first["loc"][0]) if first["loc"] else reason.split("=")[0].split(" ")[0]
        raise BadScenario(path, _line_of(key, text), key, reason) from error
    _check_settings(found, path, text)
    return found


def _check_settings(found: Scenario, path: str, text: str) -> None:
    # Settings are resolved for a scenario, so their module imports this one.
    from stackctl.settings import resolve

    try:
        resolve(found, environment={})
    except (UnknownName, BadSetting) as error:
        key = error.name if isinstance(error, UnknownName) else error.key
        raise BadScenario(path, _line_of(key, text), f"settings.{key}", str(error)) from error


def _files(own: Path | None) -> dict[str, Traversable]:
    found: dict[str, Traversable] = {}
    for place in (resources.folder("scenarios"), own):
        if place is not None and place.is_dir():
            for item in place.iterdir():
                if item.name.endswith(".toml"):
                    found[item.name.removesuffix(".toml")] = item
    return found


def _line_of(key: str, text: str) -> int:
    for number, line in enumerate(text.splitlines(), start=1):
        if re.match(rf"\s*\[?\s*{re.escape(key)}\b", line):
            return number
    return 1
