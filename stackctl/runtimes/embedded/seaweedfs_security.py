"""Writes what closes SeaweedFS's inner ports: `... seaweedfs_security ADDRESS`.

They answer every user of the machine otherwise: its gRPC ports give away the S3 keys, its volume
port whatever is stored. Mutual TLS closes the first, signed tokens the second. One certificate
serves all parts, which are one process: it signs itself, and like all keys is made anew at each
start and never leaves the folder.
"""

import os
import secrets
import sys
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from stackctl.certificates import new_key, signed_by_itself

_PARTS = ("master", "volume", "filer", "s3", "admin", "worker", "client", "msg_broker", "msg_agent")


def write(folder: Path, address: str) -> None:
    """`security.toml` in `folder`, where SeaweedFS looks for it, with certificate and key.

    Args:
        folder: Where SeaweedFS will run; paths in the file are relative to it.
        address: The IP address at which its parts call each other.
    """
    key = new_key()
    certificate = signed_by_itself(
        key,
        0,
        (x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), False),
        (
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            False,
        ),
    )
    # Without these its volume port takes and gives whatever anybody asks for.
    lines = ["[jwt.signing]", f'key = "{secrets.token_urlsafe(32)}"']
    lines += ["[jwt.signing.read]", f'key = "{secrets.token_urlsafe(32)}"']
    lines += ["[grpc]", 'ca = "grpc.crt"']
    for part in _PARTS:
        lines += [f"[grpc.{part}]", 'cert = "grpc.crt"', 'key = "grpc.key"']
    _private(folder / "grpc.crt", f"{certificate}\n".encode())
    _private(folder / "grpc.key", f"{key}\n".encode())
    _private(folder / "security.toml", "\n".join([*lines, ""]).encode())


def _private(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)


if __name__ == "__main__":
    write(Path.cwd(), sys.argv[1])
