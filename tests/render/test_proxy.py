"""What Caddy is told, as Caddy itself understands it."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from stackctl.errors import UserError
from stackctl.render import Bundle
from stackctl.render.templates import caddy_quoted
from stackctl.runtimes.embedded import components
from tests.bundles import NAMES, bundle, processes

CHOSEN = {
    "internal": ("tls=internal", "public_url=https://ml.example.org:8443/team/mlflow"),
    "files": ("tls=files", "public_url=https://[fd00::2]:8443", "http_port=8080"),
    "acme": ("tls=acme", "public_url=https://ml.example.org", "acme_email=ada@example.org",
             "acme_directory=https://ca.example.org/d", "acme_root=/etc/c a.pem"),
}  # fmt: skip


def understood(found: Bundle, folder: Path) -> dict[str, Any]:
    """The configuration that Caddy makes of it; a warning is none that we would not know."""
    path = folder / "Caddyfile"
    path.write_text(found.files["proxy/Caddyfile"][0])
    program = components.find_all()["caddy"].programs["caddy"]
    done = subprocess.run(
        [program, "adapt", "--config", str(path), "--adapter", "caddyfile"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    # How it is indented is no fault.
    assert [line for line in done.stderr.splitlines() if "not formatted" not in line] == []
    return dict(json.loads(done.stdout))


def servers(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What listens, by address."""
    listed = found["apps"]["http"]["servers"].values()
    return {address: server for server in listed for address in server["listen"]}


@pytest.mark.parametrize("tls", CHOSEN)
@pytest.mark.parametrize("name", NAMES)
def test_caddy_understands_it_on_both_runtimes(tmp_path: Path, name: str, tls: str) -> None:
    home = '/home/ada/it\'s "my" stäcks #1'
    for made in (bundle(name, *CHOSEN[tls]), processes(name, *CHOSEN[tls], home=home)):
        found = understood(made, tmp_path)
        assert found["admin"] == {"disabled": True, "config": {"persist": False}}
        assert found["storage"]["root"].endswith("/state/proxy")
        listening = servers(found)
        ports = {port for service in made.services for port in service.ports.values()}
        assert {int(a.rpartition(":")[2]) for a in listening} - ports <= {2020, 10270}
        for address, server in listening.items():
            if address.endswith((":8443", ":443")):
                assert "ml.example.org" in json.dumps(server) or "fd00::2" in json.dumps(server)
                assert server["logs"]["logger_names"]


def test_it_listens_where_it_is_published(tmp_path: Path) -> None:
    flags = (*CHOSEN["internal"], "bind=192.0.2.7", "auth=basic", "http_port=8080")
    made = processes("scenario-6", *flags)
    assert set(servers(understood(made, tmp_path))) == {
        "tcp4/192.0.2.7:8443", "tcp4/192.0.2.7:5016", "tcp4/192.0.2.7:8080", "127.0.0.1:10270",
    }  # fmt: skip
    inside = bundle("scenario-6", *flags)
    assert set(servers(understood(inside, tmp_path))) == {
        ":8443", ":5016", ":8080", "127.0.0.1:2020",
    }  # fmt: skip


def test_each_server_has_a_port_of_its_own_behind_it(tmp_path: Path) -> None:
    found = servers(understood(processes("scenario-6", *CHOSEN["internal"]), tmp_path))
    for address, upstream in (("tcp4/127.0.0.1:8443", 10271), ("tcp4/127.0.0.1:5016", 10273)):
        assert f'"dial": "127.0.0.1:{upstream}"' in json.dumps(found[address])


def test_the_object_store_is_behind_it_for_who_has_a_signed_address(tmp_path: Path) -> None:
    flags = (*CHOSEN["internal"], "transfers=direct", "object_store_port=8444")
    for made, dial in (
        (bundle("scenario-5", *flags), "objects:8333"),
        (processes("scenario-5", *flags), "127.0.0.1:"),
    ):
        assert "object_store_port" not in {s.name: s.ports for s in made.services}["objects"]
        assert {s.name: s.ports for s in made.services}["proxy"]["object_store_port"] == 8444
        found = servers(understood(made, tmp_path))
        (address,) = [address for address in found if address.endswith(":8444")]
        text = json.dumps(found[address]["routes"])
        assert f'"dial": "{dial}' in text
        (matched,) = json.loads(text[text.index('[{"method"') :].partition("}}]")[0] + "}}]")
        assert matched == {
            "method": ["GET", "HEAD", "PUT"], "path": ["/mlflow/artifacts/*"],
            "query": {"X-Amz-Signature": ["*"]},
        }  # fmt: skip
        assert text.index('"method"') < text.index("403")
        assert "/health" not in text


@pytest.mark.parametrize("bad", ["a{env.HOME}", "a\nb", "a\0b"])
def test_what_caddy_would_take_for_something_else_is_refused(bad: str) -> None:
    with pytest.raises(UserError, match="Caddy cannot be told of"):
        caddy_quoted(bad)


def test_no_server_is_published_beside_it() -> None:
    for name in NAMES:
        for made in (bundle(name, *CHOSEN["internal"]), processes(name, *CHOSEN["internal"])):
            settings = {s.name: set(s.ports) for s in made.services}
            assert settings["proxy"] >= {"port"}
            for server in ("tracking", "ui", "artifacts"):
                assert not settings.get(server)


def test_clients_with_keys_reach_their_bucket_by_it_and_no_other(tmp_path: Path) -> None:
    flags = (*CHOSEN["internal"], "object_store_port=8444")
    for made in (bundle("scenario-4", *flags), processes("scenario-4", *flags)):
        assert {s.name: set(s.ports) for s in made.services}["objects"] == set()
        found = servers(understood(made, tmp_path))
        (address,) = [address for address in found if address.endswith(":8444")]
        text = json.dumps(found[address]["routes"])
        assert '"path": ["/mlflow", "/mlflow/*"]' in text
        assert '"header": {"Authorization": ["AWS4-HMAC-SHA256 *"]}' in text
        assert "403" in text


def test_the_database_browser_is_behind_it(tmp_path: Path) -> None:
    for made in (
        bundle("scenario-3b-mysql", *CHOSEN["internal"]),
        processes("scenario-3b-mysql", *CHOSEN["internal"]),
    ):
        assert {s.name: set(s.ports) for s in made.services}["browser"] == set()
        found = servers(understood(made, tmp_path))
        (address,) = [address for address in found if address.endswith(":5085")]
        assert "reverse_proxy" in json.dumps(found[address]["routes"])
