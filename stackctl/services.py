"""What a service is: the one table of what can run for a stack.

Adding a service means adding one entry here, and its templates: `templates/compose/NAME.yaml.j2`
for containers, `templates/processes/NAME.toml.j2` for processes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class ServiceKind:
    """What is known of a service, whatever stack it is of and wherever it runs.

    Attributes:
        name: As in scenario files, settings, templates and logs.
        label: What people call it.
        port: Where it listens, where it has an address of its own; 0: nowhere.
        published: The setting that names the port at which clients reach it; "" where none do.
        besides: Other such settings; it listens at the very ports that they name.
        keeps_data: It has a volume of its own name, which outlives it.
        refuses_root: It does not run as root, whoever deploys.
        once: It does something once and ends.
        mlflow: It is a server of MLflow itself, and uses the stores.
        page: What it publishes is for browsers: with HTTPS of the stack's own, behind the proxy.
        listeners: What asks for a port of its own where all services share one address: `NAME`
            itself and what belongs to it. Each has a second port, 10000 above it.
        configuration: The file of the bundle that it reads anew while it runs, so that another one
            is no other definition; "" where there is none.
        reload_signal: At which it does.
        repeatable: There may be several of it, `NAME`, `NAME-2`, `NAME-3` and so on.
        repeats: The service of which this is one more; "" where it is none.
    """

    name: str
    label: str
    port: int = 0
    published: str = ""
    besides: tuple[str, ...] = ()
    keeps_data: bool = False
    refuses_root: bool = False
    once: bool = False
    mlflow: bool = False
    page: bool = False
    listeners: tuple[str, ...] = ()
    configuration: str = ""
    reload_signal: str = ""
    repeatable: bool = False
    repeats: str = ""

    @property
    def template(self) -> str:
        """The name of its templates."""
        return self.repeats or self.name


class _Kinds(dict[str, ServiceKind]):
    """By name; one that repeats another is made of that."""

    def __missing__(self, name: str) -> ServiceKind:
        first, _, number = name.rpartition("-")
        if not (number.isdecimal() and int(number) > 1 and first in self):
            raise KeyError(name)
        if not (kind := self[first]).repeatable:
            raise KeyError(name)
        return replace(kind, name=name, label=f"{kind.label} {number}", repeats=first)


def replicas(name: str, number: int) -> list[str]:
    """The names of so many of a service; of one that is not repeatable there is one."""
    if not SERVICES[name].repeatable:
        return [name]
    return [name, *(f"{name}-{one}" for one in range(2, number + 1))]


_TABLE = (
    # In the order in which they start.
    ServiceKind(
        "postgres", "PostgreSQL", 5432, keeps_data=True, refuses_root=True, listeners=("postgres",)
    ),
    ServiceKind("mysql", "MySQL", 3306, keeps_data=True, refuses_root=True, listeners=("mysql",)),
    ServiceKind(
        "objects", "object store", 8333, "object_store_port", keeps_data=True,
        # SeaweedFS has a gRPC port for each, 10000 above it by a rule of its own.
        listeners=("objects", "master", "volume", "filer", "admin"),
    ),
    ServiceKind("bucket", "bucket job", once=True),
    ServiceKind(
        "artifacts", "artifacts-only server", 5000, "artifacts_port", mlflow=True, page=True
    ),
    ServiceKind("tracking", "tracking server", 5000, "port", mlflow=True, page=True,
                repeatable=True),
    ServiceKind("ui", "mlflow ui", 5000, "port", mlflow=True, page=True),
    ServiceKind("browser", "database browser", 8080, "browser_port", page=True),
    ServiceKind(
        "proxy", "TLS proxy", 0, "port",
        ("artifacts_port", "object_store_port", "browser_port", "http_port"),
        listeners=("proxy",), configuration="proxy/Caddyfile", reload_signal="SIGUSR1",
    ),
)  # fmt: skip
SERVICES: Mapping[str, ServiceKind] = _Kinds((kind.name, kind) for kind in _TABLE)
# The settings that name published ports, each once.
PORT_SETTINGS = tuple(
    dict.fromkeys(name for kind in _TABLE for name in (kind.published, *kind.besides) if name)
)
