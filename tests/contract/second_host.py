"""A second host: a network namespace with a cable to this one, and names of its own."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_CABLE = Path(__file__).with_name("cable.py")
# Of the addresses for documentation and tests (RFC 2544), 64 cables.
_NETWORK = "198.18.213.{}"

# A machine of its own, as far as its network and its names go: until its input ends.
MACHINE = """
import fcntl, socket, struct, subprocess, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as lo:
    # SIOCSIFFLAGS, IFF_UP | IFF_RUNNING (netdevice(7)).
    fcntl.ioctl(lo, 0x8914, struct.pack("16sh", b"lo", 0x41))
subprocess.run(["mount", "--bind", sys.argv[1], "/etc/hosts"], check=True)
print("ready", flush=True)
sys.stdin.read()
"""

# Which TCP ports of a host take a connection; whoever drops one has a second to answer.
_SCAN = """
import socket, sys
for port in map(int, sys.argv[2:]) if sys.argv[2:] else range(1, 65536):
    with socket.socket() as tried:
        tried.settimeout(1)
        if tried.connect_ex((sys.argv[1], port)) == 0:
            print(port)
"""


@contextmanager
def alone(names: Mapping[str, str], folder: Path) -> Iterator[int]:
    """The process of a machine that has its own loopback, and knows these names with addresses."""
    if os.getuid() != 0:
        pytest.skip("only root can make a network of its own")
    hosts = folder / "hosts"
    lines = [f"{address} {name}\n" for name, address in {"localhost": "127.0.0.1", **names}.items()]
    hosts.write_text("".join(lines))
    command = ["unshare", "--net", "--mount", sys.executable, "-c", MACHINE, str(hosts)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as held:
        assert held.stdout is not None
        assert held.stdout.readline() == "ready\n"
        yield held.pid


def prefix(process: int) -> tuple[str, ...]:
    """The words by which a command runs on that machine."""
    return ("nsenter", "--net", "--mount", "-t", str(process))


@dataclass(frozen=True)
class SecondHost:
    """One from which this host is seen.

    Attributes:
        address: This host's, at its end of the cable.
        own: Its own, at the other end.
        prefix: The words by which a command runs over there.
    """

    address: str
    own: str
    prefix: tuple[str, ...]

    def open_ports(self, *among: int) -> set[int]:
        """Every TCP port of this host, or of these, that takes a connection from there."""
        done = subprocess.run(
            [*self.prefix, sys.executable, "-c", _SCAN, self.address, *map(str, among)],
            capture_output=True, text=True, check=True, timeout=600,
        )  # fmt: skip
        return set(map(int, done.stdout.split()))


@contextmanager
def second_host(name: str, folder: Path) -> Iterator[SecondHost]:
    """One that finds this host by a name; both are gone afterwards, and their cable with them."""
    taken = _cable("taken")
    number = next(n for n in range(0, 256, 4) if _NETWORK.format(n + 1) not in taken)
    mine, theirs = _NETWORK.format(number + 1), _NETWORK.format(number + 2)
    with alone({name: mine}, folder) as process:
        # The kernel takes it away with the other host, also where a test is killed.
        end = f"sc{os.getpid()}"[:12]
        _cable("here", f"{end}a", f"{end}b", str(process), mine)
        _cable("there", f"{end}b", theirs, on=prefix(process))
        yield SecondHost(mine, theirs, prefix(process))


def _cable(*words: str, on: Sequence[str] = ()) -> list[str]:
    done = subprocess.run(
        [*on, sys.executable, str(_CABLE), *words], check=True, capture_output=True, text=True
    )
    return done.stdout.split()
