"""An address as its parts."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Self
from urllib.parse import urlsplit

USUAL_PORTS = {"http": 80, "https": 443}
_PATH = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)*")


@dataclass(frozen=True)
class Url:
    """The address of a server, which it answers at and below.

    Attributes:
        scheme: `http` or `https`.
        host: A name or an IP address, of version 6 without brackets.
        port: Where it listens.
        path: "", or a path that begins with a slash and does not end with one.
    """

    scheme: str
    host: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The address that `text` is.

        Raises:
            ValueError: It is none, or names a user, a query or a fragment.
        """
        if any(character <= " " for character in text):
            # Some are left out without a word.
            raise ValueError("an address has no blank and no control character")
        parts = urlsplit(text)
        if parts.scheme not in USUAL_PORTS or not parts.hostname:
            raise ValueError("an address is http(s)://HOST[:PORT][/PATH]")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("an address has no user, no password, no ? and no #")
        path = parts.path.removesuffix("/")
        if not _PATH.fullmatch(path):
            raise ValueError(f"{parts.path!r} is no path of letters, digits and . _ ~ -")
        return cls(parts.scheme, parts.hostname, parts.port or USUAL_PORTS[parts.scheme], path)

    @property
    def is_ip(self) -> bool:
        """The host is an IP address, and no name."""
        try:
            ip_address(self.host)
        except ValueError:
            return False
        return True

    @property
    def is_loopback(self) -> bool:
        """It never leaves the machine that asks."""
        return self.host == "localhost" or (self.is_ip and ip_address(self.host).is_loopback)

    @property
    def name(self) -> str:
        """The host as it stands in an address: IPv6 in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def address(self) -> str:
        """HOST:PORT, as programs take it that listen or connect."""
        return f"{self.name}:{self.port}"

    @property
    def authority(self) -> str:
        """HOST:PORT, without a port that goes without saying, as browsers send it."""
        return self.name if self.port == USUAL_PORTS[self.scheme] else self.address

    @property
    def origin(self) -> str:
        """What a page at this address is from, in a browser's words."""
        return f"{self.scheme}://{self.authority}"

    def __str__(self) -> str:
        return f"{self.origin}{self.path}"
