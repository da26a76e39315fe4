"""What strangers of the network try at a stack with HTTPS and a login, and what they get."""

import socket
import ssl
from contextlib import ExitStack, closing
from typing import ClassVar
from urllib.parse import urlsplit

import pytest

from tests.contract.driving import Deployed, until
from tests.contract.https import SEARCH, Site, basic

# A slow client sends the beginning of a header, and no more.
SLOW = 64
# What other kits ship, and MLflow itself once did.
KNOWN = [("admin", "password1234"), ("admin", "password"), ("admin", "admin"), ("admin", ""),
         ("mlflow", "mlflow"), ("root", "root"), ("", "")]  # fmt: skip


def connected(site: Site, **how: object) -> ssl.SSLSocket:
    """A connection, by a client that trusts the authority and has some peculiarity."""
    context = ssl.create_default_context(cafile=site.trusted)
    for name, value in how.items():
        setattr(context, name, value)
    return handshake(site, context)


def handshake(site: Site, context: ssl.SSLContext) -> ssl.SSLSocket:
    """The connection, or what was wrong with it."""
    plain = socket.create_connection((site.host, site.port), timeout=60)
    try:
        return context.wrap_socket(plain, server_hostname=site.host)
    except OSError:
        plain.close()
        raise


def said(site: Site, request: str) -> bytes:
    """All that is answered to some bytes, until the other side ends or has nothing more."""
    answer = b""
    with closing(connected(site)) as connection:
        connection.sendall(request.encode())
        connection.settimeout(3)
        try:
            while part := connection.recv(65536):
                answer += part
        except (TimeoutError, OSError):
            pass
    return answer


class Attacks:
    """For a class whose stack is `deployed`, reached as `site`, where `login` lets in."""

    prefix: ClassVar[str]

    @pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion")
    def test_what_is_no_longer_safe_is_not_spoken(self, site: Site, version: str) -> None:
        with pytest.raises(ssl.SSLError):
            connected(site, minimum_version=ssl.TLSVersion.MINIMUM_SUPPORTED,
                      maximum_version=ssl.TLSVersion[version])  # fmt: skip

    def test_ciphers_keep_what_was_said_even_if_the_key_is_lost_later(self, site: Site) -> None:
        context = ssl.create_default_context(cafile=site.trusted)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with closing(handshake(site, context)) as connection:
            found = connection.cipher()
        assert found is not None
        assert found[0].startswith("ECDHE-")
        context.set_ciphers("AES128-SHA:AES256-SHA:AES128-GCM-SHA256@SECLEVEL=0")
        with pytest.raises(ssl.SSLError):
            handshake(site, context)

    @pytest.mark.parametrize(("name", "password"), KNOWN)
    def test_nobody_gets_in_with_what_everybody_knows(
        self, site: Site, name: str, password: str
    ) -> None:
        assert site.status(f"{self.prefix}{SEARCH}", Authorization=basic(name, password)) == 401

    @pytest.mark.parametrize(
        "path",
        [
            "../../../../../../etc/passwd", "..%2f..%2f..%2f..%2fetc%2fpasswd",
            "%2e%2e/%2e%2e/%2e%2e/etc/passwd", "..%252f..%252fetc%252fpasswd",
            "....//....//etc/passwd", "..\\..\\..\\etc\\passwd", "%5c..%5c..%5cetc%5cpasswd",
            "/etc/passwd", "file:///etc/passwd", "0/../../etc/passwd", "0/%00/etc/passwd",
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("way", ["api/2.0/mlflow-artifacts/artifacts/", "get-artifact?path="])
    def test_no_path_leads_out_of_the_artifacts(
        self, site: Site, login: dict[str, str], way: str, path: str
    ) -> None:
        answer = site.get(f"{self.prefix}/{way}{path}", **login)
        # 503: this server serves no artifacts; a redirect leads to what another case asks for.
        assert answer.status in (308, 400, 404, 500, 503), answer.status
        assert urlsplit(answer.headers["Location"] or self.prefix).path.startswith(self.prefix)

    def test_a_page_of_another_site_gets_no_answer(self, site: Site, login: dict[str, str]) -> None:
        strange = {"Origin": "https://evil.example", **login}
        answer = site.get(f"{self.prefix}{SEARCH}", **strange)
        assert "evil" not in str(answer.headers)
        assert answer.headers["Access-Control-Allow-Origin"] is None
        head = "\r\n".join(f"{name}: {value}" for name, value in strange.items())
        written = said(site, f"POST {self.prefix}/api/2.0/mlflow/experiments/create HTTP/1.1\r\n"
                             f"Host: {site.host}:{site.port}\r\n{head}\r\nConnection: close\r\n"
                             'Content-Type: application/json\r\nContent-Length: 15\r\n\r\n'
                             '{"name":"evil"}')  # fmt: skip
        assert written.startswith(b"HTTP/1.1 403 ")

    @pytest.mark.parametrize(
        "lengths",
        [
            "Content-Length: 4\r\nTransfer-Encoding: chunked",
            "Content-Length: 4\r\nTransfer-Encoding: xchunked",
            "Content-Length: 4\r\nTransfer-Encoding : chunked",
            "Content-Length: 4\r\nContent-Length: 90",
            "Content-Length: +4",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        ],
    )
    def test_no_request_hides_in_another(self, site: Site, lengths: str) -> None:
        """Who disagrees about where a request ends lets the next one be somebody else's."""
        hidden = f"GET {self.prefix}/hidden HTTP/1.1\r\nHost: {site.host}\r\n\r\n"
        answer = said(site, f"POST {self.prefix}/api/2.0/mlflow/runs/search HTTP/1.1\r\n"
                            f"Host: {site.host}:{site.port}\r\n{lengths}\r\n\r\n"
                            f"0\r\n\r\n{hidden}")  # fmt: skip
        statuses = [line.split()[1] for line in answer.split(b"\r\n") if line[:8] == b"HTTP/1.1"]
        # Of the request as it is understood, and at most of what follows it, asked without a login.
        assert set(statuses) <= {b"400", b"401", b"404", b"501"}, answer
        assert b"hidden" not in answer

    def test_a_header_that_never_ends_is_cut_off(self, site: Site, login: dict[str, str]) -> None:
        answer = said(site, f"GET {self.prefix}/ HTTP/1.1\r\nHost: {site.host}\r\n"
                            f"X-Long: {'x' * 2_000_000}\r\n\r\n")  # fmt: skip
        assert answer == b"" or answer.split()[1] in (b"400", b"431")
        assert site.status(f"{self.prefix}{SEARCH}", **login) == 200

    def test_slow_clients_keep_nobody_else_waiting(self, site: Site, login: dict[str, str]) -> None:
        with ExitStack() as slow:
            for _ in range(SLOW):
                connection = slow.enter_context(closing(connected(site)))
                connection.sendall(f"GET {self.prefix}/ HTTP/1.1\r\nHost: ".encode())
            until(lambda: site.status(f"{self.prefix}{SEARCH}", **login) == 200, seconds=10,
                  what="an answer beside slow clients")  # fmt: skip

    def test_what_is_sent_is_not_echoed(self, site: Site, login: dict[str, str]) -> None:
        head = f"Host: {site.host}:{site.port}\r\nX-Mark: echoed\r\nConnection: close\r\n\r\n"
        answer = said(site, f"TRACE {self.prefix}/ HTTP/1.1\r\n{head}")
        assert b"echoed" not in answer
        assert answer.split()[1] in (b"401", b"404", b"405")

    def test_it_runs_on_when_all_was_tried(self, deployed: Deployed) -> None:
        assert deployed.state() == "running"
