"""The cable between two hosts: `cable.py here …` on this one, then `cable.py there …` on the other.

In a process of its own: pyroute2 forks, and a copy of pytest would go on with its tests where that
takes too long.
"""

import sys
from collections.abc import Callable

from pyroute2 import IPRoute


def taken() -> None:
    """Print the addresses that this host has."""
    with IPRoute() as here:
        print(*(str(address.get_attr("IFA_ADDRESS")) for address in here.get_addr()))


def here(end: str, other: str, process: str, address: str) -> None:
    """Lay it to the network of a process; this end has an address."""
    with IPRoute() as here:
        here.link("add", ifname=end, kind="veth", peer={"ifname": other})
        (far,) = here.link_lookup(ifname=other)
        here.link("set", index=far, net_ns_pid=int(process))
        up(here, end, address)


def there(end: str, address: str) -> None:
    """Give the other end one."""
    with IPRoute() as there:
        up(there, end, address)


def up(host: IPRoute, end: str, address: str) -> None:
    """An end that works."""
    (index,) = host.link_lookup(ifname=end)
    host.addr("add", index=index, address=address, prefixlen=30)
    host.link("set", index=index, state="up")


VERBS: dict[str, Callable[..., None]] = {"taken": taken, "here": here, "there": there}

if __name__ == "__main__":
    VERBS[sys.argv[1]](*sys.argv[2:])
