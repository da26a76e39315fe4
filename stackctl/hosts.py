"""By which names and from which pages MLflow's server may be called."""

from collections.abc import Sequence
from ipaddress import ip_address

from stackctl.settings import Settings


def allowed_hosts(settings: Settings, services: Sequence[str]) -> list[str]:
    """The Host headers that the server answers.

    MLflow's own default is replaced by what is set, and an entry without `*` matches exactly,
    port included (3.17.2), so each name is listed with and without a port. One with `*` is a
    shell's pattern, in which the bracket of an IPv6 address would begin a set of characters.
    """
    names = ["localhost", "127.0.0.1", "[::1]", *_bound(settings), *services]
    names += [host.partition(":")[0] for host in settings.public_hosts]
    return [
        entry for name in dict.fromkeys(names) for entry in (name, f"{name.replace('[', '[[]')}:*")
    ]


def cors_origins(settings: Settings) -> list[str]:
    """The origins from which a browser may call the server; localhost is always among them.

    A host that is allowed but whose origin is not gives a UI that opens and cannot load.
    """
    origins: list[str] = []
    for host in [*_bound(settings), *settings.public_hosts]:
        name, given = (host, "") if host.endswith("]") else host.partition(":")[::2]
        for scheme, usual in (("http", 80), ("https", 443)):
            ports = [int(given)] if given else [usual, settings.port]
            # A browser leaves out the port that goes without saying.
            origins += [f"{scheme}://{name}" + (f":{p}" if p != usual else "") for p in ports]
    return list(dict.fromkeys(origins))


def _bound(settings: Settings) -> list[str]:
    """The address on which the server is published, where clients can use it as a name."""
    address = ip_address(settings.bind)
    if address.is_unspecified or str(address) in ("127.0.0.1", "::1"):
        return []
    return [f"[{address}]" if address.version == 6 else str(address)]
