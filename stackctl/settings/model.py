"""Everything that a user can choose about a stack, as typed data.

`docs/settings.md` explains each; a test holds it to this model.
"""

import re
from collections.abc import Collection, Iterable
from functools import cache
from ipaddress import IPv6Address, ip_address, ip_network
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

from stackctl.kinds import BACKENDS
from stackctl.services import PORT_SETTINGS, SERVICES, replicas
from stackctl.settings import database
from stackctl.settings.oidc import Oidc
from stackctl.settings.server import Server
from stackctl.settings.words import Words
from stackctl.urls import Url
from stackctl.versions import DEFAULT_IMAGES, MLFLOW, OLDEST_MLFLOW, WITH_OIDC, older

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

# Where HTTPS ends at a proxy of the stack's own.
OWN_TLS = ("internal", "files", "acme")
# What begins so is MLflow's own, with or without something in front.
_TAKEN_PATHS = ("api", "ajax-api", "graphql", "health", "version", "static-files", "gateway", "v1")

# The databases, and what only looks into one of them.
_OF_DATABASES = {kind.service for kind in BACKENDS.values() if kind.service} | {"browser"}

Port = Annotated[int, Field(ge=1, le=65535)]


class Extra(BaseModel):
    """Files of the user's own that are merged with those that are rendered.

    Attributes:
        compose: One of Compose, as it merges several.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    compose: str = ""

    @field_validator("compose")
    @classmethod
    def _compose(cls, value: str) -> str:
        return _path(value)


def is_name(value: str) -> bool:
    """A stack can be called so; nothing that leads out of a folder can."""
    return _NAME.fullmatch(value) is not None


def _path(value: str) -> str:
    """A path that a file system can have."""
    if any(ord(char) < 32 for char in value):
        raise ValueError("a path has no control characters")
    if len(value.encode()) > 1024:
        raise ValueError("a path has at most 1024 bytes")
    try:
        Path(value).expanduser()
    except RuntimeError:
        raise ValueError("the user after ~ does not exist") from None
    return value


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


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


OptionalCount = Annotated[
    Annotated[int, Field(ge=0, le=1000)] | None, BeforeValidator(_none_if_empty)
]
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
    public_url: str = Field(
        "",
        description="address by which everybody knows the server, `https://HOST[:PORT][/PATH]`",
    )
    tls: Literal["off", "internal", "files", "acme", "elsewhere"] = Field(
        "off",
        description="where HTTPS comes from: `internal`: an authority of the stack's own; `files`: "
        "a certificate of yours; `acme`: Let's Encrypt or another; `elsewhere`: another proxy",
    )
    http_port: OptionalPort = Field(
        None, description="port on which HTTP is answered by leading to HTTPS"
    )
    acme_email: str = Field("", description="whom the authority of `tls=acme` can write to")
    acme_directory: str = Field(
        "", description="URL of the authority of `tls=acme`; empty: Let's Encrypt"
    )
    acme_root: str = Field(
        "", description="file with the certificate behind `acme_directory`, where that is private"
    )
    plain_http: Literal["no", "yes-on-a-trusted-network"] = Field(
        "no", description="ports beyond loopback may be published without TLS"
    )
    trusted_proxies: Words = Field(
        (),
        description="addresses or networks of the proxies of `tls=elsewhere`, whose word is taken "
        "for who calls and how; where only this machine reaches the stack, any",
    )
    auth: Literal["none", "basic", "oidc"] = Field(
        "none",
        description="`basic`: MLflow's own users and passwords, with one user `admin`; `oidc`: "
        "people log in at an OpenID provider",
    )
    default_permission: Literal["READ", "USE", "EDIT", "MANAGE", "NO_PERMISSIONS"] = Field(
        "READ",
        description="what a user may do with what nobody granted them, where there is a login",
    )
    oidc: Oidc = Field(
        Oidc(),
        description="the provider of `auth=oidc`: `oidc.issuer`, `oidc.client_id`, "
        "`oidc.groups`, …",
    )
    public_hosts: Words = Field(
        (),
        description="names, with :PORT where it differs, by which browsers and clients reach the "
        "server; allowed hosts and CORS origins follow from them",
    )
    data: str = Field(
        "", description="folder of local stores; `data/NAME` beside `.secrets` where not given"
    )
    database: Literal["own", "external"] = Field(
        "own",
        description="the PostgreSQL or MySQL of scenarios with one: the stack's own, or one that "
        "is there already",
    )
    database_host: str = Field(
        "",
        description="name or address of an external database; or the folder of PostgreSQL's "
        "socket, the path of MySQL's",
    )
    database_port: OptionalPort = Field(
        None, description="port of an external database; empty: 5432 or 3306"
    )
    database_name: str = Field("mlflow", description="name of an external database")
    database_user: str = Field("mlflow", description="as whom the servers come to it")
    database_schema: str = Field(
        "", description="schema of an external PostgreSQL; empty: the user's usual one"
    )
    database_tls: Literal["off", "require", "verify-full"] = Field(
        "verify-full",
        description="how the servers come to an external database: `require`: encrypted; "
        "`verify-full`: and its certificate is for its name",
    )
    database_ca: str = Field(
        "",
        description="file with the authority of its certificate; empty: those that browsers trust",
    )
    database_certificate: bool = Field(
        False,
        description="the servers show a certificate there, which is secret "
        "`database_client_certificate`, with its key `database_client_key`",
    )
    object_store: Literal["seaweedfs", "minio", "rustfs", "external"] = Field(
        "seaweedfs", description="the object store of scenarios with a bucket"
    )
    object_store_endpoint: str = Field(
        "", description="URL of an external object store; empty: AWS S3 itself"
    )
    transfers: Literal["proxied", "direct"] = Field(
        "proxied",
        description="how artifacts go between clients and the bucket: through the server, or large "
        "ones past it, by addresses that the server signs",
    )
    bucket: str = Field("mlflow", description="bucket in which artifacts are kept")
    region: str = Field("us-east-1", description="region of the bucket")
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        2, description="worker processes of each MLflow server"
    )
    replicas: Annotated[int, Field(ge=1, le=16)] = Field(
        1,
        description="tracking servers behind the proxy; a deploy that changes them replaces one "
        "after the other",
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
    workspaces: bool = Field(
        False,
        description="MLflow's workspaces: experiments and models in compartments, in one server",
    )
    gateway: Literal["on", "off", "private"] = Field(
        "on",
        description="MLflow's AI gateway: `private`: also to models in private networks",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="what the MLflow servers log, and what is worse"
    )
    pool_size: OptionalCount = Field(
        None, description="connections to the database that each worker keeps; SQLAlchemy's 5"
    )
    pool_overflow: OptionalCount = Field(
        None, description="connections beyond `pool_size` that a worker opens; SQLAlchemy's 10"
    )
    server: Server = Field(
        Server(),
        description="what the MLflow servers are told in MLflow's words: `server.args.NAME=…`, "
        "`server.env.NAME=…`, and for a secret `server.env.NAME=secret:NAME`",
    )
    extra: Extra = Field(
        Extra(),
        description="`extra.compose`: a Compose file of yours, merged with the rendered one; a "
        "relative path starts at the home folder",
    )
    image_flavor: Literal["slim", "user", "conda"] = Field(
        "slim", description="which Dockerfile builds the tracking server's image"
    )
    images: dict[str, str] = Field({}, description="image of each component, `images.postgres=…`")
    memory: dict[str, str] = Field(
        {}, description="memory limit of each service, `memory.tracking=2g`"
    )

    @property
    def release(self) -> str:
        """What the servers are of: a release of MLflow, and what is locked together with it."""
        return f"{self.mlflow_version}{WITH_OIDC}" if self.auth == "oidc" else self.mlflow_version

    @property
    def asks_login(self) -> bool:
        """Nobody gets in without a login."""
        return self.auth != "none"

    @property
    def ends_tls(self) -> bool:
        """HTTPS ends at a proxy of the stack's own."""
        return self.tls in OWN_TLS

    @property
    def address(self) -> Url | None:
        """The address by which everybody knows the server; None where it has no such name."""
        return Url.parse(self.public_url) if self.public_url else None

    def services(self, named: Collection[str]) -> list[str]:
        """The services that there are with these settings, in the order in which they start.

        Args:
            named: Those of the scenario.
        """
        wanted = {*named, "proxy"} if self.ends_tls else {*named}
        return self.each(name for name in SERVICES if name in wanted - self.elsewhere)

    @property
    def elsewhere(self) -> frozenset[str]:
        """Services that scenarios have, and that somebody else runs for this stack."""
        given = {"objects"} if self.object_store == "external" else set()
        return frozenset(given | (_OF_DATABASES if self.database == "external" else set()))

    def each(self, named: Iterable[str]) -> list[str]:
        """Services of a scenario, each as often as it is there."""
        return [one for name in named for one in replicas(name, self.replicas)]

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

    @model_validator(mode="after")
    def _single_sign_on(self) -> "Settings":
        if self.auth != "oidc":
            return self
        if self.oidc.lacks:
            raise ValueError(f"auth=oidc needs {' and '.join(self.oidc.lacks)}: "
                             f"--set {self.oidc.lacks[0]}=…")  # fmt: skip
        issuer = Url.parse(self.oidc.issuer)
        if issuer.scheme != "https" and not issuer.is_loopback and self.plain_http == "no":
            raise ValueError(
                f"oidc.issuer={self.oidc.issuer} is not https: whoever is between could log in as "
                "anybody; --set plain_http=yes-on-a-trusted-network where nobody is"
            )
        if self.job_execution:
            raise ValueError("job_execution=true is for auth=none and basic: with auth=oidc nobody "
                             "tried it")  # fmt: skip
        return self

    @field_validator("public_url")
    @classmethod
    def _public_url(cls, value: str) -> str:
        if not value:
            return value
        url = Url.parse(value)
        if _public_host(url.name) != url.name or url.host == "localhost.":
            raise ValueError(f"{url.host!r} is not a name as browsers send it")
        if url.path.split("/")[1:2] and url.path.split("/")[1] in _TAKEN_PATHS:
            raise ValueError(f"{url.path!r} begins as MLflow's own paths do")
        return str(url)

    @field_validator("acme_directory")
    @classmethod
    def _acme_directory(cls, value: str) -> str:
        if value and Url.parse(value).scheme != "https":
            raise ValueError("an ACME directory is an https address")
        return value

    @field_validator("acme_email")
    @classmethod
    def _acme_email(cls, value: str) -> str:
        if value and not re.fullmatch(r"[^@\s\"'{}<>]{1,64}@[A-Za-z0-9.-]{1,253}", value):
            raise ValueError("an e-mail address is NAME@HOST")
        return value

    @model_validator(mode="after")
    def _tls_and_name(self) -> "Settings":
        url, own = self.address, self.ends_tls
        if self.tls != "off" and url is None:
            raise ValueError(f"tls={self.tls} needs the name that a certificate is for: "
                             "--set public_url=https://HOST")  # fmt: skip
        if url is not None and (url.scheme == "https") is (self.tls == "off"):
            raise ValueError(
                f"public_url={url} is https: say where that comes from, with --set tls=acme, "
                "internal, files or elsewhere"
                if url.scheme == "https"
                else f"public_url={url} is not https, as tls={self.tls} has it"
            )
        if self.replicas > 1 and not own:
            raise ValueError(f"replicas={self.replicas} are servers behind the stack's own proxy, "
                             f"and with tls={self.tls} it has none")  # fmt: skip
        if self.http_port is not None and not own:
            raise ValueError(f"http_port={self.http_port} leads to HTTPS of this stack's own, and "
                             f"with tls={self.tls} it has none")  # fmt: skip
        if self.tls == "acme" and url and (url.is_ip or "." not in url.host):
            raise ValueError(f"tls=acme is for names that the whole internet can look up, and "
                             f"{url.host} is none; tls=internal needs nobody else")  # fmt: skip
        return self

    @field_validator("trusted_proxies")
    @classmethod
    def _trusted_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            try:
                ip_network(each)
            except ValueError:
                raise ValueError(f"{each!r} is no IP address or network, as 10.0.0.7 or "
                                 "10.0.0.0/24 is") from None  # fmt: skip
        return value

    @model_validator(mode="after")
    def _who_is_trusted(self) -> "Settings":
        if self.trusted_proxies and self.tls != "elsewhere":
            raise ValueError(
                f"trusted_proxies={','.join(self.trusted_proxies)} are those of tls=elsewhere, and "
                f"this is tls={self.tls}"
            )
        beyond = not ip_address(self.bind).is_loopback
        if self.tls == "elsewhere" and beyond and not self.trusted_proxies:
            raise ValueError(
                f"tls=elsewhere with bind={self.bind}: whoever calls could say that it is the "
                "proxy; name that, with --set trusted_proxies=ADDRESS"
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

    @model_validator(mode="after")
    def _external_database(self) -> "Settings":
        place = self.database_host, self.database_tls, self.plain_http
        if self.database == "external" and (why := database.problem(*place)):
            raise ValueError(why)
        return self

    @field_validator("database_host")
    @classmethod
    def _database_host(cls, value: str) -> str:
        return database.host(_path(value))

    @field_validator("database_name", "database_user")
    @classmethod
    def _database_name(cls, value: str) -> str:
        return database.name(value)

    @field_validator("database_schema")
    @classmethod
    def _database_schema(cls, value: str) -> str:
        return database.schema(value) if value else value

    @field_validator("acme_root", "database_ca")
    @classmethod
    def _file(cls, value: str) -> str:
        if value and not Path(_path(value)).is_absolute():
            raise ValueError("give the whole path of the file, from / on")
        return value

    @field_validator("data")
    @classmethod
    def _data(cls, value: str) -> str:
        return _path(value)


def _tables(model: type[BaseModel], within: str = "") -> list[str]:
    found = []
    for key, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found += _tables(kind, f"{within}{key}.")
        else:
            found.append(f"{within}{key}." if kind == dict[str, str] else f"{within}{key}")
    return found


@cache
def keys() -> list[str]:
    """Every setting's key; a trailing `.` marks a table."""
    return _tables(Settings)


def split(key: str) -> tuple[str, ...]:
    """A key as the names of the tables that lead to it, and its own, which may hold a dot."""
    if key in keys():
        return tuple(key.split("."))
    for table in keys():
        if table.endswith(".") and key.startswith(table):
            return (*table.rstrip(".").split("."), key.removeprefix(table))
    return (key,)
