"""What the settings of an external database may say."""

import re
from ipaddress import ip_address

from stackctl.urls import Url

# As long as PostgreSQL and MySQL take names.
_NAME_BYTES = 63
_HOST = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")


def host(value: str) -> str:
    """A name, an address, or the path of a Unix socket, as one is written in a URL.

    Raises:
        ValueError: It is none of them.
    """
    if not value or value.startswith("/") or _HOST.fullmatch(value):
        return value
    try:
        return str(ip_address(value))
    except ValueError:
        raise ValueError(
            "give a name or an address alone, or the whole path of a Unix socket; the port is "
            "database_port"
        ) from None


def name(value: str) -> str:
    """Of a database, a schema or a user.

    Raises:
        ValueError: No server takes it.
    """
    if any(ord(char) < 32 or ord(char) == 127 for char in value):
        raise ValueError("a name has no control characters")
    if not 1 <= len(value.encode()) <= _NAME_BYTES:
        raise ValueError(f"a name has 1 to {_NAME_BYTES} bytes")
    return value


def schema(value: str) -> str:
    """One that PostgreSQL's list of schemas can hold without quotes.

    Raises:
        ValueError: It is none.
    """
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", value):
        raise ValueError("a schema here has 1 to 63 characters: a-z, 0-9 and '_'")
    return value


def problem(place: str, tls: str, plain_http: str) -> str:
    """Why `database_host` and others lead to no external database, or in clear; "" else."""
    if not place:
        return "database=external needs the place of it: --set database_host=NAME"
    here = place.startswith("/") or Url("", place, 0).is_loopback
    if tls == "off" and plain_http == "no" and not here:
        return (
            f"database_tls=off would send runs and the login to {place} in clear; "
            "--set database_tls=require, or plain_http=yes-on-a-trusted-network"
        )
    return ""
