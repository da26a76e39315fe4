"""Where a stack is reached: scheme, host, port and path of every address, published or inner.

A published address is one of this machine, or the public one that everybody knows it by. Inner
ones, at which services find each other, are made from the same parts by each rendering.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from stackctl.scenario import Scenario
from stackctl.services import SERVICES
from stackctl.settings import Settings
from stackctl.urls import USUAL_PORTS, Url

# As shells and MLflow match names: whatever stands in brackets.
_ANY_IPV6 = "[[]*]"


@dataclass(frozen=True)
class Way:
    """One way to a stack.

    Attributes:
        server: Where the tracking API answers.
        artifacts: Where the artifact proxy answers, where that is another server.
        objects: The object store, for who writes there; "" for AWS itself.
        host: The Host header to send, where it is not that of the address.
        direct: HOST:PORT of this machine at which the names of these are served, whether they lead
            there or not; "" where they do.
    """

    server: Url
    artifacts: Url | None = None
    objects: str = ""
    host: str = ""
    direct: str = ""


@dataclass(frozen=True)
class Addresses:
    """The published addresses of a stack.

    Attributes:
        scenario: Of which it is.
        settings: Its own.
    """

    scenario: Scenario
    settings: Settings

    @property
    def public(self) -> Url | None:
        """At which everybody finds it; None where it has no such name."""
        return self.settings.address

    @property
    def prefix(self) -> str:
        """The path below which the server answers; "" where at the root."""
        return self.public.path if self.public else ""

    @property
    def server(self) -> Url:
        """Where clients and browsers find the tracking server or UI."""
        return server(self.settings)

    @property
    def artifacts(self) -> Url | None:
        """Where clients find the artifacts-only server; None where there is none."""
        if self.scenario.writer != "artifacts-server":
            return None
        here = published(self.settings, "artifacts_port")
        # Clients of MLflow ask it below the path of the tracking server (3.17.2).
        return replace(self.public, port=here.port) if self.public else here

    @property
    def objects(self) -> str:
        """Where clients find the object store; "" for AWS itself, or where it is not published."""
        if "objects" in self.settings.elsewhere:
            return self.settings.object_store_endpoint
        if self.settings.object_store_port is None:
            return ""
        here = published(self.settings, "object_store_port")
        if self.proxies_objects and self.public:
            return str(replace(self.public, port=here.port, path=""))
        return str(here)

    @property
    def proxies_objects(self) -> bool:
        """Clients reach the object store by the proxy: with keys, or what a server signed."""
        settings, keyed = self.settings, self.scenario.writes_to_bucket
        return (
            settings.ends_tls
            and "objects" not in settings.elsewhere
            and settings.object_store_port is not None
            and (keyed or settings.transfers == "direct")
        )

    @property
    def transfers(self) -> str | None:
        """Where clients find the bucket by addresses that a server signs; None where nowhere.

        "" for AWS itself.
        """
        if self.settings.transfers != "direct":
            return None
        if "objects" in self.settings.elsewhere or self.settings.ends_tls:
            return self.objects
        return str(Url("http", self._known_as, self.settings.object_store_port or 0))

    def ways(self) -> list[Way]:
        """Every way that a client may take: the server's address, also under every public name."""
        if self.settings.ends_tls:
            # Whether the name leads here is nothing that a deploy can decide.
            here = published(self.settings, "port")
            return [Way(self.server, self.artifacts, self.objects, direct=here.address)]
        if self.public:
            # What is in front need not be there yet.
            here = replace(published(self.settings, "port"), path=self.prefix)
            beside = self.artifacts and replace(here, port=self.artifacts.port)
            return [Way(here, beside, self.objects, self.public.authority)]
        names = self.settings.public_hosts
        named = (_named("http", name, self.settings.port) for name in names)
        hosts = ["", *(url.address for url in named)]
        return [Way(self.server, self.artifacts, self.objects, host) for host in hosts]

    def allowed_hosts(self, services: Sequence[str]) -> list[str]:
        """The Host headers that the server answers.

        MLflow's own default is replaced by what is set, and an entry without `*` matches exactly,
        port included (3.17.2), so each name is listed with and without a port. One with `*` is a
        shell's pattern, in which the bracket of an IPv6 address would begin a set of characters.
        A server on `::` answers to every IPv6 address: no name can pass itself off as one.

        Args:
            services: Names by which other services of the stack call it.
        """
        names = ["localhost", "127.0.0.1", "[::1]", *self._bound(), *services]
        names += [_named("http", host, 0).name for host in self.settings.public_hosts]
        names += [self.public.name] if self.public else []
        found = [
            entry
            for name in dict.fromkeys(names)
            for entry in (name, f"{name.replace('[', '[[]')}:*")
        ]
        return [*found, _ANY_IPV6, f"{_ANY_IPV6}:*"] if self.settings.bind == "::" else found

    def cors_origins(self) -> list[str]:
        """The origins from which a browser may call the server; localhost is always among them.

        A host that is allowed but whose origin is not gives a UI that opens and cannot load.
        """
        origins = [self.public.origin] if self.public else []
        for host in [*self._bound(), *self.settings.public_hosts]:
            for scheme, usual in USUAL_PORTS.items():
                ports = [usual, self.settings.port]
                origins += [_named(scheme, host, port).origin for port in ports]
        if self.settings.bind == "::":
            origins.append(f"http://{_ANY_IPV6}:{self.settings.port}")
        return list(dict.fromkeys(origins))

    def artifacts_location(self) -> str:
        """Where clients of an artifacts-only server send artifacts: it is kept with each run."""
        url = Url("http", self._known_as, self.settings.artifacts_port or 0)
        return f"mlflow-artifacts://{url.name}:{url.port}"

    @property
    def _known_as(self) -> str:
        """The host by which clients anywhere know this machine."""
        if self.public:
            return self.public.host
        hosts = self.settings.public_hosts
        return _named("http", hosts[0], 0).host if hosts else reachable(self.settings.bind)

    def key(self) -> str:
        """Tells places of artifacts apart that MLflow keeps with an experiment for ever."""
        settings = self.settings
        places = [settings.bucket, settings.bind, settings.public_hosts, settings.artifacts_port]
        places += [settings.public_url] if settings.public_url else []
        return hashlib.sha256(json.dumps(places).encode()).hexdigest()[:8]

    def _bound(self) -> list[str]:
        """The address on which the server is published, where clients can use it as a name."""
        address = ip_address(self.settings.bind)
        if address.is_unspecified or str(address) in ("127.0.0.1", "::1"):
            return []
        return [Url("http", str(address), 0).name]


def _named(scheme: str, host: str, port: int) -> Url:
    """The address of HOST or HOST:PORT, as `public_hosts` has them; a port of its own wins."""
    name, given = (host, "") if host.endswith("]") else host.rpartition(":")[::2]
    if not name:
        name, given = host, ""
    return Url(scheme, name.strip("[]"), int(given) if given else port)


def by_name(service: str) -> Url:
    """Where services of a stack find each other that have a network, and names on it."""
    return Url("http", service, SERVICES[service].port)


def server(settings: Settings) -> Url:
    """Where clients and browsers find the tracking server or UI of a stack."""
    return settings.address or published(settings, "port")


def published(settings: Settings, setting: str) -> Url:
    """The address on this machine of what is published on the port of a setting."""
    return Url("http", reachable(settings.bind), getattr(settings, setting) or 0)


def reachable(bind: str) -> str:
    """The host by which this machine calls what listens on `bind`."""
    address = ip_address(bind)
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "::1"
    return str(address)
