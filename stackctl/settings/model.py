"""Everything that a user can choose about a stack, as typed data.

`docs/settings.md` explains each; a test holds it to this model.
"""

import re
from functools import cache
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    field_validator,
    model_validator,
)

from stackctl.services import PORT_SETTINGS, SERVICES
from stackctl.versions import DEFAULT_IMAGES, MLFLOW, OLDEST_MLFLOW, older

NAME_RULE = "a name has 1 to 40 characters: a-z, 0-9 and '-', not at its ends"
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
# Names of machines; an underscore is in none of a domain, and in many of a private network.
_LABEL = r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"
_HOST = re.compile(
    rf"(?P<name>(?=.{{1,253}}(:|$)){_LABEL}(\.{_LABEL})*|\[[^\]]*\])(:(?P<port>\d{{1,5}}))?"
)
_IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]{0,254}")
_MEMORY = re.compile(r"[1-9]\d{0,6}[kmg]", re.IGNORECASE)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

Port = Annotated[int, Field(ge=1, le=65535)]


def is_name(value: str) -> bool:
    """A stack can be called so; nothing that leads out of a folder can."""
    return _NAME.fullmatch(value) is not None


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


def _split(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _public_host(value: str) -> str:
    """HOST or HOST:PORT as browsers send it: lower case, an IPv6 address short and in brackets."""
    wrong = ValueError(f"{value!r} is not HOST or HOST:PORT")
    try:
        # An interface after % is one of this machine, and no client sends it.
        return f"[{IPv6Address(value.replace('%', ' '))}]"
    except ValueError:
        found = _HOST.fullmatch(value.lower())
    if found is None or not 1 <= int(found["port"] or 1) <= 65535:
        raise wrong
    name = found["name"]
    if name.startswith("["):
        try:
            name = f"[{IPv6Address(name[1:-1].replace('%', ' '))}]"
        except ValueError:
            raise wrong from None
    return f"{name}:{int(found['port'])}" if found["port"] else name


OptionalPort = Annotated[Port | None, BeforeValidator(_none_if_empty)]


class Settings(BaseModel):
    """Everything a user can choose about a stack. Secrets are not settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field("", description="name of the stack; the scenario's name where not given")
    runtime: Literal["auto", "docker", "embedded"] = Field(
        "auto",
        description="where services run; `auto`: where the stack is already, else Docker where a "
        "daemon answers, else processes of this machine",
    )
    port: Port = Field(5000, description="port on which the tracking server or UI is published")
    artifacts_port: OptionalPort = Field(
        None, description="port of the artifacts-only server (scenario-6)"
    )
    object_store_port: OptionalPort = Field(
        None, description="port on which the object store is published; empty: not published"
    )
    browser_port: OptionalPort = Field(
        None, description="port of the database browser (scenario-3b-mysql)"
    )
    bind: str = Field("127.0.0.1", description="address on which ports are published")
    auth: Literal["none", "basic"] = Field(
        "none", description="`basic`: MLflow's own users and passwords, with one user `admin`"
    )
    public_hosts: Annotated[tuple[str, ...], BeforeValidator(_split)] = Field(
        (),
        description="names, with :PORT where it differs, by which browsers and clients reach the "
        "server; allowed hosts and CORS origins follow from them",
    )
    data: str = Field(
        "", description="folder of local stores; `data/NAME` beside `.secrets` where not given"
    )
    object_store: Literal["seaweedfs", "minio", "rustfs", "external"] = Field(
        "seaweedfs", description="the object store of scenarios with a bucket"
    )
    object_store_endpoint: str = Field(
        "", description="URL of an external object store; empty: AWS S3 itself"
    )
    bucket: str = Field("mlflow", description="bucket in which artifacts are kept")
    region: str = Field("us-east-1", description="region of the bucket")
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        2, description="worker processes of each MLflow server"
    )
    mlflow_version: str = Field(
        MLFLOW,
        description="MLflow release of the servers; a stack with data gets another one by "
        "`stackctl upgrade`",
    )
    job_execution: bool = Field(
        False,
        description="MLflow's server-side jobs (scorers, evaluations); costs 1.5 GB and a start "
        "that is twice as long",
    )
    image_flavor: Literal["slim", "user", "conda"] = Field(
        "slim", description="which Dockerfile builds the tracking server's image"
    )
    images: dict[str, str] = Field({}, description="image of each component, `images.postgres=…`")
    memory: dict[str, str] = Field(
        {}, description="memory limit of each service, `memory.tracking=2g`"
    )

    def published_ports(self) -> list[int]:
        """Ports of the machine at which clients reach the stack."""
        return [port for key in PORT_SETTINGS if (port := getattr(self, key)) is not None]

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not is_name(value):
            raise ValueError(NAME_RULE)
        return value

    @field_validator("bind")
    @classmethod
    def _bind(cls, value: str) -> str:
        try:
            address = ip_address(value)
        except ValueError:
            raise ValueError("not an IP address of this machine") from None
        return str(address)

    @model_validator(mode="after")
    def _login_beyond_loopback(self) -> "Settings":
        if not ip_address(self.bind).is_loopback and self.auth == "none":
            raise ValueError(
                f"bind={self.bind} would publish the stack beyond this machine without a login; "
                "add --set auth=basic, or keep bind=127.0.0.1"
            )
        return self

    @field_validator("public_hosts")
    @classmethod
    def _public_hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_public_host(host) for host in value)

    @field_validator("mlflow_version")
    @classmethod
    def _mlflow_version(cls, value: str) -> str:
        if not re.fullmatch(r"\d{1,4}\.\d{1,4}\.\d{1,4}", value):
            raise ValueError("a release of MLflow has three numbers, such as 3.17.2")
        if older(value, OLDEST_MLFLOW):
            raise ValueError(f"the oldest MLflow that stackctl can run is {OLDEST_MLFLOW}")
        return value

    @field_validator("images")
    @classmethod
    def _images(cls, value: dict[str, str]) -> dict[str, str]:
        for key, image in value.items():
            known = [*DEFAULT_IMAGES, "tracking"]
            if key not in known:
                raise ValueError(f"no component {key!r}; known: {', '.join(sorted(known))}")
            if not _IMAGE.fullmatch(image):
                raise ValueError(f"{key} is not an image reference such as NAME:TAG")
        return value

    @field_validator("memory")
    @classmethod
    def _memory(cls, value: dict[str, str]) -> dict[str, str]:
        for service, limit in value.items():
            if service not in SERVICES:
                known = ", ".join(sorted(SERVICES))
                raise ValueError(f"no service {service!r}; known: {known}")
            if not _MEMORY.fullmatch(limit):
                raise ValueError(f"{limit!r} for {service} is not a size such as 512m or 2g")
        return value

    @field_validator("bucket")
    @classmethod
    def _bucket(cls, value: str) -> str:
        if not _BUCKET.fullmatch(value):
            raise ValueError("a bucket has 3 to 63 characters: a-z, 0-9, '.' and '-'")
        return value

    @field_validator("region")
    @classmethod
    def _region(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z0-9-]{1,40}", value):
            raise ValueError("a region has a-z, 0-9 and '-'")
        return value

    @field_validator("object_store_endpoint")
    @classmethod
    def _endpoint(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[A-Za-z0-9.:\[\]-]+/?", value):
            raise ValueError("an endpoint is http(s)://HOST[:PORT], without a user or password")
        return value.rstrip("/")

    @field_validator("data")
    @classmethod
    def _data(cls, value: str) -> str:
        if any(ord(char) < 32 for char in value):
            raise ValueError("a path has no control characters")
        if len(value.encode()) > 1024:
            raise ValueError("a path has at most 1024 bytes")
        try:
            Path(value).expanduser()
        except RuntimeError:
            raise ValueError("the user after ~ does not exist") from None
        return value


@cache
def keys() -> list[str]:
    """Every setting's key; a trailing `.` marks a table."""
    return [
        f"{key}." if field.annotation == dict[str, str] else key
        for key, field in Settings.model_fields.items()
    ]
