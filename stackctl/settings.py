"""The settings of a stack: flags > environment > .env > scenario file > default.

`docs/settings.md` explains each; a test holds it to this model.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from stackctl.errors import BadSetting, UnknownName, UserError
from stackctl.scenario import Scenario, service_templates
from stackctl.versions import DEFAULT_IMAGES, MLFLOW, OLDEST_MLFLOW, older

PREFIX = "STACKCTL_"
# Variables of the program, not of a stack.
PROGRAM_VARIABLES = (
    "STACKCTL_HOME", "STACKCTL_DEBUG", "STACKCTL_STACK", "STACKCTL_TESTING_KEEP", "STACKCTL_CLIENT",
    "STACKCTL_PASSPHRASE_FILE",
)  # fmt: skip

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")
_HOST = re.compile(
    r"(?=.{1,253}(:|$))[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
    r"(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*(:\d{1,5})?"
)
_IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:@-]{0,254}")
_MEMORY = re.compile(r"[1-9]\d{0,6}[kmg]", re.IGNORECASE)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")

Port = Annotated[int, Field(ge=1, le=65535)]


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


def _split(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


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

    PORTS: ClassVar[tuple[str, ...]] = (
        "port", "artifacts_port", "object_store_port", "browser_port",
    )  # fmt: skip

    def published_ports(self) -> list[int]:
        """Ports of the machine at which clients reach the stack."""
        return [port for key in self.PORTS if (port := getattr(self, key)) is not None]

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not _NAME.fullmatch(value):
            raise ValueError("a name has 1 to 40 characters: a-z, 0-9 and '-', not at its ends")
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
        for host in value:
            port = host.rpartition(":")[2] if ":" in host else ""
            if not _HOST.fullmatch(host) or (port and not 1 <= int(port) <= 65535):
                raise ValueError(f"{host!r} is not HOST or HOST:PORT")
        return value

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
            if service not in service_templates():
                known = ", ".join(service_templates())
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


@dataclass(frozen=True)
class Effective:
    """Validated settings, and where each value came from."""

    settings: Settings
    sources: Mapping[str, str]

    def rows(self) -> list[tuple[str, str, str]]:
        """(key, value, source) of every setting, nested ones as `images.postgres`."""
        values = _flatten(self.settings.model_dump())
        values |= {
            f"images.{component}": values.get(f"images.{component}", image)
            for component, image in DEFAULT_IMAGES.items()
        }
        return [(key, _shown(v), self.sources.get(key, "default")) for key, v in values.items()]


def _shown(value: object) -> str:
    """A value as it is written in `--set` and in .env."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, tuple | list) else str(value)


def resolve(
    scenario: Scenario,
    *,
    flags: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    dotenv: Path | None = None,
    kept: tuple[Mapping[str, Any], str] = ({}, ""),
    given_by: str = "--set",
) -> Effective:
    """The effective settings of `scenario`.

    Args:
        scenario: Its file gives the lowest layer above the defaults.
        flags: `key=value` pairs of `--set` and its short forms; the last one wins.
        environment: `STACKCTL_*` variables; the process's own where None.
        dotenv: A `.env` file, which need not exist.
        kept: Settings of an earlier deploy, which give the next layer, and where they are from.
        given_by: What the user wrote that became `flags`.

    Raises:
        UnknownName: A key that is no setting; the error names the nearest.
        BadSetting: A value that is refused, with the layer that it came from.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}

    def put(key: str, value: Any, source: str) -> None:
        _check_known(key)
        values[key], sources[key] = value, source

    for key, value in _flatten(scenario.settings).items():
        put(key, value, f"scenario {scenario.name}")
    for key, value in _flatten(kept[0]).items():
        put(key, value, kept[1])
    for key, value in _dotenv(dotenv).items():
        put(key, value, f"{dotenv}")
    for key, value in _variables(os.environ if environment is None else environment).items():
        put(key, value, f"environment {PREFIX}{key.upper().replace('.', '__')}")
    for pair in flags:
        key, equals, value = pair.partition("=")
        if not equals:
            raise UserError(f"--set {pair!r} has no '='", hint="write --set key=value")
        put(key.strip(), value, given_by)

    values.setdefault("name", scenario.name)
    sources.setdefault("name", f"scenario {scenario.name}")
    try:
        settings = Settings(**_nest(values))
    except ValidationError as error:
        raise _bad_setting(error, values, sources) from error
    return Effective(settings, sources)


def stored(values: Mapping[str, Any], where: str) -> Settings:
    """Settings that an earlier deploy kept.

    Raises:
        UserError: This version does not take them.
    """
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(
            f"{where}: setting {'.'.join(map(str, first['loc']))}: {first['msg']}",
            hint="the stack was deployed by another version of stackctl; deploy it anew",
        ) from error


@cache
def keys() -> list[str]:
    """Every setting's key; a trailing `.` marks a table."""
    return [
        f"{key}." if field.annotation == dict[str, str] else key
        for key, field in Settings.model_fields.items()
    ]


def dotenv_quoted(value: str) -> str:
    """`value` as python-dotenv and Compose read it back from a `.env` file.

    A shell's quoting does not do: neither reads `'it'"'"'s'`, and Compose then refuses to start.
    """
    if re.fullmatch(r"[\w.,:/@%+=-]*", value, re.ASCII):
        return value
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _check_known(key: str) -> None:
    table, dot, _ = key.partition(".")
    if key not in keys() and not (dot and f"{table}." in keys()):
        raise UnknownName("setting", key, [f"{k}KEY" if k.endswith(".") else k for k in keys()])


def _flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= {f"{key}.{inner}": v for inner, v in value.items()}
        else:
            flat[key] = value
    return flat


def _nest(values: Mapping[str, Any]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in values.items():
        table, dot, inner = key.partition(".")
        if dot:
            nested.setdefault(table, {})[inner] = value
        else:
            nested[key] = value
    return nested


def _variables(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name.removeprefix(PREFIX).lower().replace("__", "."): value
        for name, value in sorted(environment.items())
        if name.startswith(PREFIX)
        and name not in PROGRAM_VARIABLES
        and not name.startswith("STACKCTL_TEST_")
    }


def _dotenv(path: Path | None) -> dict[str, str]:
    if path is None or not path.exists():
        return {}
    from dotenv import dotenv_values

    try:
        found = dotenv_values(path, interpolate=False, encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}", hint="mend or remove the file") from None
    return _variables({name: value for name, value in found.items() if value is not None})


def _bad_setting(
    error: ValidationError, values: Mapping[str, Any], sources: Mapping[str, str]
) -> BadSetting:
    first = error.errors()[0]
    reason = first["msg"].removeprefix("Value error, ")
    # What concerns several settings has no place; its reason begins with the first of them.
    place = first["loc"] or (reason.partition("=")[0],)
    key = ".".join(str(part) for part in place if isinstance(part, str))
    if key not in values:
        key = str(place[0])
    inner = [k for k in values if k.startswith(f"{key}.")]
    source = sources.get(key) or ", ".join(dict.fromkeys(sources[k] for k in inner)) or "default"
    return BadSetting(key, values.get(key, first["input"]), source, reason)
