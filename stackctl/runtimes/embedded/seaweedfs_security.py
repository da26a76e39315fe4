"""Writes what closes SeaweedFS's inner ports: `... seaweedfs_security ADDRESS`.

They answer every user of the machine otherwise: its gRPC ports give away the S3 keys, its volume
port whatever is stored. Mutual TLS closes the first, signed tokens the second. One certificate
serves all parts, which are one process: it signs itself, and like all keys is made anew at each
start and never leaves the folder.
"""

import os
import secrets
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_PARTS = ("master", "volume", "filer", "s3", "admin", "worker", "client", "msg_broker", "msg_agent")
_VALID = timedelta(days=3650)


def write(folder: Path, address: str) -> None:
    """`security.toml` in `folder`, where SeaweedFS looks for it, with certificate and key.

    Args:
        folder: Where SeaweedFS will run; paths in the file are relative to it.
        address: The IP address at which its parts call each other.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stackctl")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + _VALID)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False
        )
        .add_extension(
            x509.ExtendedKeyUsage(
                [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
            ),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    # Without these its volume port takes and gives whatever anybody asks for.
    lines = ["[jwt.signing]", f'key = "{secrets.token_urlsafe(32)}"']
    lines += ["[jwt.signing.read]", f'key = "{secrets.token_urlsafe(32)}"']
    lines += ["[grpc]", 'ca = "grpc.crt"']
    for part in _PARTS:
        lines += [f"[grpc.{part}]", 'cert = "grpc.crt"', 'key = "grpc.key"']
    _private(folder / "grpc.crt", certificate.public_bytes(serialization.Encoding.PEM))
    _private(
        folder / "grpc.key",
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    _private(folder / "security.toml", "\n".join([*lines, ""]).encode())


def _private(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)


if __name__ == "__main__":
    write(Path.cwd(), sys.argv[1])
