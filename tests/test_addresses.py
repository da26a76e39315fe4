"""Where a stack is reached, and by which names and from which pages it may be called."""

from fnmatch import fnmatch

import pytest

from stackctl import scenarios
from stackctl.addresses import Addresses, Url, published
from stackctl.settings import Settings


def allowed_hosts(settings: Settings, services: list[str]) -> list[str]:
    return Addresses(scenarios.load("scenario-5"), settings).allowed_hosts(services)


def cors_origins(settings: Settings) -> list[str]:
    return Addresses(scenarios.load("scenario-5"), settings).cors_origins()


def is_allowed(host: str, allowed: list[str]) -> bool:
    """As MLflow 3.17.2 decides (mlflow/server/security_utils.py)."""
    return any(fnmatch(host, entry) if "*" in entry else host == entry for entry in allowed)


def test_ipv6_is_allowed_with_every_port_and_is_no_set_of_characters() -> None:
    allowed = allowed_hosts(Settings(name="x"), [])
    assert is_allowed("[::1]:5000", allowed)
    assert is_allowed("[::1]", allowed)
    assert not is_allowed("1:5000", allowed)


def test_allowed_hosts_have_each_name_with_and_without_a_port() -> None:
    chosen = Settings(name="x", public_hosts=("srv.lan:8443", "localhost"))
    assert allowed_hosts(chosen, ["tracking"]) == [
        "localhost", "localhost:*", "127.0.0.1", "127.0.0.1:*", "[::1]", "[[]::1]:*",
        "tracking", "tracking:*", "srv.lan", "srv.lan:*",
    ]  # fmt: skip


def test_origins_follow_from_public_hosts() -> None:
    chosen = Settings(name="x", port=5100, public_hosts=("srv.lan:8443", "ml.example"))
    assert cors_origins(chosen) == [
        "http://srv.lan:8443", "https://srv.lan:8443", "http://ml.example",
        "http://ml.example:5100", "https://ml.example", "https://ml.example:5100",
    ]  # fmt: skip
    assert cors_origins(Settings(name="x")) == []


def test_origins_leave_out_the_port_that_a_browser_leaves_out() -> None:
    assert cors_origins(Settings(name="x", public_hosts=("a.example:80", "b.example:443"))) == [
        "http://a.example", "https://a.example:80", "http://b.example:443", "https://b.example",
    ]  # fmt: skip


def test_the_address_on_which_a_server_is_published_is_allowed() -> None:
    chosen = Settings(name="x", bind="192.168.1.5", auth="basic")
    assert "192.168.1.5:*" in allowed_hosts(chosen, ["tracking"])
    assert "http://192.168.1.5:5000" in cors_origins(chosen)
    six = Settings(name="x", bind="fd00::5", auth="basic")
    assert is_allowed("[fd00::5]:5000", allowed_hosts(six, ["tracking"]))
    assert "http://[fd00::5]:5000" in cors_origins(six)
    assert "0.0.0.0" not in str(allowed_hosts(Settings(name="x", bind="0.0.0.0", auth="basic"), []))


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://ml.example.org/mlflow", Url("https", "ml.example.org", 443, "/mlflow")),
        ("https://ml.example.org:8443/a/b/", Url("https", "ml.example.org", 8443, "/a/b")),
        ("http://[fd00::2]:5000", Url("http", "fd00::2", 5000)),
        ("http://srv.lan/", Url("http", "srv.lan", 80)),
    ],
)
def test_an_address_is_read_and_written(text: str, url: Url) -> None:
    assert Url.parse(text) == url
    assert Url.parse(str(url)) == url
    assert str(url) == text.rstrip("/")


@pytest.mark.parametrize(
    "text",
    ["ml.example.org", "ftp://x", "https://", "https://u:p@x", "https://x/?a", "https://x#a",
     "https://x/a b", "https://x//y", "https://x/ü", "https://x:99999"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whichever part of it is wrong
        Url.parse(text)


@pytest.mark.parametrize(
    ("bind", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:5003"),
        ("::1", "http://[::1]:5003"),
        ("0.0.0.0", "http://127.0.0.1:5003"),
        ("::", "http://[::1]:5003"),
        ("192.168.1.5", "http://192.168.1.5:5003"),
    ],
)
def test_a_published_address_is_one_that_a_client_can_open(bind: str, address: str) -> None:
    chosen = Settings(name="x", port=5003, bind=bind, auth="basic")
    assert str(published(chosen, "port")) == address


def test_everything_follows_from_a_public_address() -> None:
    """Name, TLS and sub-path: the server's address, what browsers send, where clients go."""
    public = Url.parse("https://ml.example.org/mlflow")
    found = Addresses(scenarios.load("scenario-5"), Settings(name="x"), public)
    assert str(found.server) == "https://ml.example.org/mlflow"
    assert [str(way.server) for way in found.ways()] == ["https://ml.example.org/mlflow"]
    assert "https://ml.example.org" in found.cors_origins()
    assert is_allowed("ml.example.org", found.allowed_hosts([]))
    assert is_allowed("127.0.0.1:5000", found.allowed_hosts([]))
