"""The address of an external database, as SQLAlchemy and the drivers take it apart again."""

import pytest
import sqlalchemy
from pydantic import ValidationError

from stackctl.render.database import external
from stackctl.settings import Settings

HERE = {"name": "x", "database": "external"}
NAMES = ("mlflow", "it's ml/ö?#&=@:", "a b%20", "-c x")


def told(kind: str, **chosen: object) -> dict[str, object]:
    """What the driver is told."""
    settings = Settings.model_validate({**HERE, "database_host": "db.example.org", **chosen})
    url = external(kind, settings, "/run/secrets").url
    made = sqlalchemy.make_url(f"{url.before_password}p%40%2F%25{url.after_password}")
    _, words = made.get_dialect()().create_connect_args(made)
    return dict(words)


@pytest.mark.parametrize("kind", ["postgres", "mysql"])
@pytest.mark.parametrize("name", NAMES)
def test_names_arrive_unchanged(kind: str, name: str) -> None:
    words = told(kind, database_name=name, database_user=name)
    database = words["dbname" if kind == "postgres" else "database"]
    assert (database, words["user"], words["password"]) == (name, name, "p@/%")


@pytest.mark.parametrize("host", ["db.example.org", "10.0.0.7", "fd00::7", "::1"])
def test_a_host_is_a_name_or_an_address(host: str) -> None:
    assert told("postgres", database_host=host)["host"] == host
    assert told("mysql", database_host=host)["host"] == host


def test_ports_are_the_usual_ones_or_what_is_set() -> None:
    assert (told("postgres")["port"], told("mysql")["port"]) == (5432, 3306)
    assert told("mysql", database_port=6)["port"] == 6


def test_a_socket_is_a_folder_or_a_file_and_asks_no_certificate() -> None:
    words = told("postgres", database_host="/run/my sql", database_port=6)
    assert (words["host"], words["port"]) == ("/run/my sql", 6)
    assert "sslmode" not in words
    words = told("mysql", database_host="/run/my sql/s.sock")
    assert words["unix_socket"] == "/run/my sql/s.sock"
    assert not {"host", "ssl"} & set(words)


def test_tls_is_what_was_asked_for() -> None:
    whole: dict[str, object] = {"database_ca": "/c a.pem", "database_certificate": True}
    assert told("postgres", database_tls="require")["sslmode"] == "require"
    assert told("postgres", **whole)["sslmode"] == "verify-full"
    assert told("postgres", **whole)["sslrootcert"] == "/c a.pem"
    assert told("postgres", **whole)["sslkey"] == "/run/secrets/database_client_key"
    assert told("mysql", database_tls="require")["ssl"] == {"check_hostname": False}
    assert told("mysql", **whole)["ssl"] == {
        "ca": "/c a.pem", "cert": "/run/secrets/database_client_certificate",
        "key": "/run/secrets/database_client_key",
    }  # fmt: skip
    off: dict[str, object] = {"database_tls": "off", "database_host": "localhost"}
    assert told("postgres", **off)["sslmode"] == "disable"
    assert told("mysql", **off)["ssl_disabled"]


def test_a_schema_is_first_in_the_list() -> None:
    assert told("postgres", database_schema="ml_1")["options"] == "-csearch_path=ml_1"


@pytest.mark.parametrize(
    ("chosen", "why"),
    [
        ({"database_host": ""}, "needs the place of it"),
        ({"database_host": "postgres://h"}, "give a name or an address alone"),
        ({"database_host": "h:5432"}, "give a name or an address alone"),
        ({"database_host": "u@h"}, "give a name or an address alone"),
        ({"database_host": "a:b"}, "give a name or an address alone"),
        ({"database_host": "[::1]"}, "give a name or an address alone"),
        ({"database_host": "h", "database_name": ""}, "1 to 63 bytes"),
        ({"database_host": "h", "database_name": "ö" * 32}, "1 to 63 bytes"),
        ({"database_host": "h", "database_user": "a\nb"}, "no control characters"),
        ({"database_host": "h", "database_schema": "A"}, "a-z, 0-9 and '_'"),
        ({"database_host": "h", "database_schema": "a,b"}, "a-z, 0-9 and '_'"),
        ({"database_host": "h", "database_ca": "ca.pem"}, "give the whole path"),
        ({"database_host": "h", "database_tls": "off"}, "in clear"),
    ],
)
def test_what_leads_nowhere_or_in_clear_is_refused(chosen: dict[str, object], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Settings.model_validate({**HERE, **chosen})
