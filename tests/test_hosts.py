"""By which names and from which pages a server may be called."""

from fnmatch import fnmatch

from stackctl.hosts import allowed_hosts, cors_origins
from stackctl.settings import Settings


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
