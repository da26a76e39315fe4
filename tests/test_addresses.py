"""Where a stack is reached, and by which names and from which pages it may be called."""

from fnmatch import fnmatch
from typing import Any

import pytest

from stackctl import scenarios
from stackctl.addresses import Addresses, published
from stackctl.settings import Settings
from stackctl.urls import Url


def allowed_hosts(settings: Settings, services: list[str]) -> list[str]:
    return Addresses(scenarios.load("scenario-5"), settings).allowed_hosts(services)


def cors_origins(settings: Settings) -> list[str]:
    return Addresses(scenarios.load("scenario-5"), settings).cors_origins()


def is_allowed(host: str, allowed: list[str]) -> bool:
    """As the MLflow that ships decides."""
    from mlflow.server.security_utils import is_allowed_host_header

    return bool(is_allowed_host_header(allowed, host))


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


@pytest.mark.parametrize("tls", ["internal", "elsewhere"])
def test_everything_follows_from_a_public_address(tls: str) -> None:
    """Name, TLS and sub-path: the server's address, what browsers send, where clients go."""
    chosen = Settings(name="x", public_url="https://ml.example.org/mlflow", tls=tls)
    found = Addresses(scenarios.load("scenario-5"), chosen)
    assert str(found.server) == "https://ml.example.org/mlflow"
    assert "https://ml.example.org" in found.cors_origins()
    assert is_allowed("ml.example.org", found.allowed_hosts([]))
    assert is_allowed("127.0.0.1:5000", found.allowed_hosts([]))


def test_a_deploy_tries_the_stack_s_own_port_under_the_name() -> None:
    """Whether the name leads here, or what is in front is there, it cannot decide."""
    name = {"public_url": "https://ml.example.org/mlflow", "port": 8443}
    own = Settings(name="x", tls="internal", bind="0.0.0.0", auth="basic", **name)
    (way,) = Addresses(scenarios.load("scenario-5"), own).ways()
    assert (str(way.server), way.direct) == (name["public_url"], "127.0.0.1:8443")
    other = Settings(name="x", tls="elsewhere", **name)
    (way,) = Addresses(scenarios.load("scenario-5"), other).ways()
    assert (str(way.server), way.host) == ("http://127.0.0.1:8443/mlflow", "ml.example.org")


@pytest.mark.parametrize(
    ("chosen", "address"),
    [
        ({}, "http://127.0.0.1:5014"),
        ({"bind": "0.0.0.0", "auth": "basic", "public_hosts": "srv.lan:8080"},
         "http://srv.lan:5014"),
        ({"tls": "internal", "public_url": "https://ml.example.org/mlflow"},
         "https://ml.example.org:5014"),
        ({"object_store": "external", "object_store_port": None}, ""),
        ({"object_store": "external", "object_store_endpoint": "https://s3.example.org"},
         "https://s3.example.org"),
    ],
)  # fmt: skip
def test_clients_are_sent_where_they_find_the_bucket(chosen: dict[str, Any], address: str) -> None:
    settings = Settings(**{"name": "x", "object_store_port": 5014, **chosen})
    scenario = scenarios.load("scenario-5")
    assert Addresses(scenario, settings).transfers is None
    direct = settings.model_copy(update={"transfers": "direct"})
    assert Addresses(scenario, direct).transfers == address


def test_the_artifacts_only_server_has_the_name_too() -> None:
    chosen = Settings(name="x", public_url="https://ml.example.org/mlflow", tls="internal",
                      artifacts_port=8444)  # fmt: skip
    found = Addresses(scenarios.load("scenario-6"), chosen)
    assert str(found.artifacts) == "https://ml.example.org:8444/mlflow"
    assert found.artifacts_location() == "mlflow-artifacts://ml.example.org:8444"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("ML.Example.ORG", "ml.example.org"), ("Srv:08443", "srv:8443"), ("my_host", "my_host"),
        ("fd00::2", "[fd00::2]"), ("[FD00:0::2]", "[fd00::2]"),
        ("[fd00::2]:8443", "[fd00::2]:8443"),
        ("_dmarc.example", "_dmarc.example"), ("192.168.1.5:80", "192.168.1.5:80"),
    ],
)  # fmt: skip
def test_a_public_name_is_kept_as_browsers_send_it(given: str, kept: str) -> None:
    settings = Settings(name="x", public_hosts=(given,))
    assert settings.public_hosts == (kept,)
    name = kept.partition("]")[0] + "]" if kept.startswith("[") else kept.partition(":")[0]
    allowed = allowed_hosts(settings, [])
    assert is_allowed(name, allowed)
    assert is_allowed(f"{name}:5000", allowed)
    origin = f"http://{kept}"
    assert (origin in cors_origins(settings)) or origin == "http://192.168.1.5:80"
    # What is kept is what is read back.
    assert Settings(name="x", public_hosts=(kept,)) == settings


@pytest.mark.parametrize(
    "given",
    ["a b", "srv:", "srv:0", "srv:65536", "[fd00::2", "fd00::2]", "[srv]", "[fd00::2]:x", "-a",
     "a-", "a..b", "fe80::1%eth0", "[fe80::1%eth0]", "http://srv", "srv/x", "*",
     "[::1]*", "", "a:b:c", "ä.example"],
)  # fmt: skip
def test_what_is_no_name_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="HOST or HOST:PORT"):
        Settings(name="x", public_hosts=(given,))


def test_a_server_on_every_ipv6_address_answers_to_each_of_them() -> None:
    chosen = Settings(name="x", bind="::", auth="basic", port=5100)
    allowed = allowed_hosts(chosen, ["tracking"])
    for host in ("[fd00::2]:5100", "[2001:db8::7]", "[::1]:5100"):
        assert is_allowed(host, allowed)
    # No name can be mistaken for one.
    for host in ("evil.example", "fd00::2", "[fd00::2].evil.example", "evil[x]"):
        assert not is_allowed(host, allowed), host
    (pattern,) = (origin for origin in cors_origins(chosen) if "*" in origin)
    assert fnmatch("http://[fd00::2]:5100", pattern)
    assert not fnmatch("http://evil.example:5100", pattern)
    assert not fnmatch("http://[fd00::2].evil.example:5100", pattern)


def test_clients_of_an_ipv6_name_are_sent_there() -> None:
    chosen = Settings(name="x", public_hosts=("[fd00::2]:8443", "fd00::3"), port=5100,
                      artifacts_port=5101)  # fmt: skip
    found = Addresses(scenarios.load("scenario-6"), chosen)
    assert found.artifacts_location() == "mlflow-artifacts://[fd00::2]:5101"
    assert [way.host for way in found.ways()] == ["", "[fd00::2]:8443", "[fd00::3]:5100"]
