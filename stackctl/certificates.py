"""Certificates for HTTPS: an authority of a stack's own, and what is wrong with those of a user."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_YEARS = timedelta(days=3650)
# A clock that is a little behind takes it too.
_BACK = timedelta(hours=24)


def new_key() -> str:
    """A private key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return text.decode().strip()


def new_authority(key: str) -> str:
    """A certificate by which that key is an authority's, as PEM; good for ten years."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(_owned(key).public_key())
    return signed_by_itself(key, 1, (_signs_certificates(), True), (identifier, False))


def signed_by_itself(
    key: str, path_length: int, *extensions: tuple[x509.ExtensionType, bool]
) -> str:
    """A certificate of that key, signed with it, as PEM; good for ten years.

    Args:
        key: One that `new_key` made.
        path_length: How many authorities there may be below it.
        extensions: What else it says, and whether who does not understand that has to refuse it.
    """
    owner = _owned(key)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stackctl")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(owner.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACK)
        .not_valid_after(now + _YEARS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
    )
    for extension, critical in extensions:
        made = made.add_extension(extension, critical=critical)
    signed = made.sign(owner, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode().strip()


def key_problem(text: str) -> str:
    """What is wrong with a private key, in words; "" where nothing is."""
    try:
        _key(text)
    except TypeError:
        return "it is encrypted, and nobody is there to type the passphrase; write it without one"
    except (ValueError, UnsupportedAlgorithm):
        return "it is no private key in PEM, which begins with -----BEGIN PRIVATE KEY-----"
    return ""


def chain_problem(text: str) -> str:
    """What is wrong with a certificate and those that vouch for it; "" where nothing is."""
    try:
        chain = _chain(text)
    except ValueError:
        return "it is no certificate in PEM, which begins with -----BEGIN CERTIFICATE-----"
    for lower, upper in pairwise(chain):
        try:
            lower.verify_directly_issued_by(upper)
        except (ValueError, TypeError, InvalidSignature):
            return (
                f"{_called(upper)!r} did not issue {_called(lower)!r}: the server's own comes "
                "first, then the one that issued it, and so on"
            )
    return ""


def ends(text: str) -> datetime:
    """When the first certificate of a chain is good no longer.

    Raises:
        ValueError: There is none.
    """
    return _chain(text)[0].not_valid_after_utc


def laxity(text: str) -> str:
    """Why strict clients refuse a chain that others take, in words; "" where they do not.

    Python 3.13 and later ask for what RFC 5280 does (ssl.VERIFY_X509_STRICT).
    """
    for one in _chain(text):
        if one.issuer == one.subject:
            continue
        try:
            one.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
        except x509.ExtensionNotFound:
            return (
                f"clients with Python 3.13 or later refuse {_called(one)!r}: it does not say by "
                "which key it was signed (Authority Key Identifier)"
            )
    return ""


def misfit(chain: str, key: str, hosts: Sequence[str], now: datetime) -> str:
    """Why a chain and a key do not serve these hosts now, in words; "" where they do."""
    first = _chain(chain)[0]
    if first.public_key() != _key(key).public_key():
        return "the key is not that of the certificate"
    if now >= first.not_valid_after_utc:
        return f"the certificate ended on {first.not_valid_after_utc:%Y-%m-%d}"
    if now < first.not_valid_before_utc:
        begins = f"{first.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        return f"the certificate begins on {begins}: is this machine's clock right?"
    try:
        usage = first.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        usage = None
    if usage is not None and ExtendedKeyUsageOID.SERVER_AUTH not in usage:
        return "the certificate is not for servers"
    names = _names(first)
    for host in hosts:
        if not any(_covers(name, host) for name in names):
            listed = ", ".join(names) or "no name at all"
            return f"the certificate is for {listed}, and not for {host}"
    return ""


def _key(text: str) -> PrivateKeyTypes:
    return serialization.load_pem_private_key(text.encode(), password=None)


def _owned(text: str) -> ec.EllipticCurvePrivateKey:
    """A key that `new_key` made, or another of its kind.

    Raises:
        ValueError: It is of another.
    """
    found = _key(text)
    if not isinstance(found, ec.EllipticCurvePrivateKey):
        raise ValueError("it is no key of an elliptic curve")
    return found


def _chain(text: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(text.encode())


def _called(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    names = found.get_values_for_type(x509.DNSName)
    return (*names, *map(str, found.get_values_for_type(x509.IPAddress)))


def _covers(name: str, host: str) -> bool:
    """A name of a certificate is for a host; `*` stands for one label (RFC 6125)."""
    try:
        return ip_address(name) == ip_address(host)
    except ValueError:
        pass
    name, host = name.lower(), host.lower()
    if name.startswith("*."):
        return host.partition(".")[2] == name[2:] and bool(host.partition(".")[0])
    return name == host


def _signs_certificates() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
