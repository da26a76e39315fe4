"""Certificates and requests for tests of HTTPS."""

import base64
import http.client
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import Message
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from stackctl.certificates import new_authority, new_key
from tests.contract.driving import ONE_WORKER, free_port, words

DAY = timedelta(days=1)


SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"


def behind_tls(scenario: str, name: str, prefix: str, *settings: str) -> tuple[str, ...]:
    """The words that deploy a stack with HTTPS at `localhost`, below a path, on a free port."""
    chosen = words(scenario, name, *ONE_WORKER)
    chosen[5] = str(free_port())
    for setting in (f"public_url=https://localhost:{chosen[5]}{prefix}", "tls=internal", *settings):
        chosen += ["--set", setting]
    return tuple(chosen)


def basic(name: str, password: str) -> str:
    """The header by which somebody logs in."""
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"


@dataclass(frozen=True)
class Authority:
    """One that a test makes certificates with."""

    key: str
    certificate: str

    @classmethod
    def new(cls) -> "Authority":
        key = new_key()
        return cls(key, new_authority(key))

    def issue(
        self, *names: str, begins: timedelta = -DAY, ends: timedelta = 90 * DAY, key: str = "",
        lax: bool = False,
    ) -> tuple[str, str]:  # fmt: skip
        """A certificate for hosts, and its key; a lax one lacks what strict clients ask for."""
        key = key or new_key()
        mine = serialization.load_pem_private_key(key.encode(), None)
        theirs = serialization.load_pem_private_key(self.key.encode(), None)
        assert isinstance(mine, ec.EllipticCurvePrivateKey)
        assert isinstance(theirs, ec.EllipticCurvePrivateKey)
        issuer = x509.load_pem_x509_certificate(self.certificate.encode())
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "of a test")]))
            .issuer_name(issuer.subject)
            .public_key(mine.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
            .add_extension(
                x509.SubjectAlternativeName([_name(name) for name in names]), critical=False
            )
        )
        if not lax:
            whose = x509.AuthorityKeyIdentifier.from_issuer_public_key(theirs.public_key())
            made = made.add_extension(whose, critical=False)
        signed = made.sign(theirs, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode(), key


def _name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


@dataclass(frozen=True)
class Answer:
    """What was answered."""

    status: int
    headers: Message
    content: bytes


@dataclass(frozen=True)
class Site:
    """A server's HTTPS, as somebody who trusts one authority asks for it."""

    port: int
    trusted: Path
    host: str = "localhost"

    def get(self, path: str, **headers: str) -> "Answer":
        """The answer to one request."""
        return self.send("GET", path, b"", **headers)

    def send(self, method: str, path: str, body: bytes, **headers: str) -> "Answer":
        """The answer to one request."""
        context = ssl.create_default_context(cafile=self.trusted)
        connection = http.client.HTTPSConnection(self.host, self.port, timeout=60, context=context)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers)
            if body:
                headers = {
                    "Content-Type": "application/json", "Content-Length": str(len(body)), **headers
                }  # fmt: skip
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def status(self, path: str, **headers: str) -> int:
        """Of that answer."""
        return self.get(path, **headers).status
