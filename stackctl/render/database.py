"""The database of a stack, as its servers are told of one that somebody else runs."""

from dataclasses import dataclass, field
from urllib.parse import quote

from stackctl.services import SERVICES
from stackctl.settings import Settings

PASSWORD, CERTIFICATE, KEY = (
    "database_password", "database_client_certificate", "database_client_key",
)  # fmt: skip
# What opens a database that stays when a stack goes.
OF_EXTERNAL = frozenset({PASSWORD, CERTIFICATE, KEY})


@dataclass(frozen=True)
class DatabaseUrl:
    """The address of a database as SQLAlchemy writes it, in two parts: a password is between them.

    Attributes:
        scheme: Which database and driver.
        user: Who comes.
        host: A name, an address, or the path of a Unix socket.
        port: Where it listens.
        name: Of the database.
        socket: The word of a query in which the driver is told of a socket.
        query: More words of the driver's.
    """

    scheme: str
    user: str
    host: str
    port: int
    name: str
    socket: str = ""
    query: dict[str, str] = field(default_factory=dict)

    @property
    def before_password(self) -> str:
        """`postgresql+psycopg2://mlflow:`."""
        return f"{self.scheme}://{quote(self.user, safe='')}:"

    @property
    def after_password(self) -> str:
        """`@db.example.org:5432/mlflow?sslmode=require`."""
        query = dict(self.query)
        if self.is_socket:
            query[self.socket] = self.host
            # By its port PostgreSQL finds the file in the folder.
            place = f"@:{self.port}" if self.socket == "host" else "@"
        else:
            bracketed = f"[{self.host}]" if ":" in self.host else self.host
            place = f"@{bracketed}:{self.port}"
        words = "&".join(f"{key}={quote(value, safe='/')}" for key, value in query.items())
        return f"{place}/{quote(self.name, safe='')}" + (f"?{words}" if words else "")

    @property
    def is_socket(self) -> bool:
        """It is on this machine, and reached by a file."""
        return self.host.startswith("/")


@dataclass(frozen=True)
class _Driver:
    """How MLflow's driver of a database is told, in the query of its address.

    Attributes:
        scheme: SQLAlchemy's, for which MLflow has the driver.
        socket: The word for a Unix socket.
        tls: The words for each kind of TLS.
        authority: The word for the file with the authorities of certificates.
        shown: Those for a certificate of one's own and its key.
        always: Words that MLflow needs.
    """

    scheme: str
    socket: str
    tls: dict[str, dict[str, str]]
    authority: str
    shown: tuple[str, str]
    always: dict[str, str]


_DRIVERS = {
    # libpq's words (PostgreSQL 18, "Database Connection Control Functions").
    "postgres": _Driver(
        "postgresql+psycopg2", "host",
        {"off": {"sslmode": "disable"}, "require": {"sslmode": "require"},
         "verify-full": {"sslmode": "verify-full"}},
        "sslrootcert", ("sslcert", "sslkey"), {},
    ),
    # PyMySQL 1.2: with an authority it looks at certificate and name, and with any word of TLS it
    # goes no other way.
    "mysql": _Driver(
        "mysql+pymysql", "unix_socket",
        {"off": {"ssl_disabled": "true"}, "require": {"ssl_check_hostname": "false"},
         "verify-full": {}},
        "ssl_ca", ("ssl_cert", "ssl_key"), {"charset": "utf8mb4"},
    ),
}  # fmt: skip


@dataclass(frozen=True)
class ExternalDatabase:
    """What the scripts of servers need of it.

    Attributes:
        url: Its address, without a password.
        secrets: The secrets with which servers come.
        usual_authorities: The word that names the file of authorities, where that is the one that
            Python has; "" where the address names it, or none is asked.
        mounts: What of the machine they read at its own place.
    """

    url: DatabaseUrl
    secrets: tuple[str, ...]
    usual_authorities: str
    mounts: tuple[str, ...]


def external(kind: str, settings: Settings, secrets: str) -> ExternalDatabase:
    """The database that the settings lead to.

    Args:
        kind: `postgres` or `mysql`.
        settings: The stack's.
        secrets: The folder in which servers find their secrets.
    """
    driver, host = _DRIVERS[kind], settings.database_host
    query, used, mounts, usual = dict(driver.always), [PASSWORD], [], ""
    if host.startswith("/"):
        # The file may be made anew, so its folder is what is there.
        mounts.append(host if driver.socket == "host" else host.rpartition("/")[0])
    else:
        query |= driver.tls[settings.database_tls]
        if settings.database_tls == "verify-full":
            usual = "" if settings.database_ca else driver.authority
            if settings.database_ca:
                query[driver.authority] = settings.database_ca
                mounts.append(settings.database_ca)
        if settings.database_certificate:
            used += [CERTIFICATE, KEY]
            certificate, key = driver.shown
            query |= {certificate: f"{secrets}/{CERTIFICATE}", key: f"{secrets}/{KEY}"}
    if settings.database_schema:
        query["options"] = f"-csearch_path={settings.database_schema}"
    url = DatabaseUrl(
        driver.scheme, settings.database_user, host,
        settings.database_port or SERVICES[kind].port, settings.database_name, driver.socket, query,
    )  # fmt: skip
    return ExternalDatabase(url, tuple(used), usual, tuple(mounts))
