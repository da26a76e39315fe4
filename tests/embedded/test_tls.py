"""Certificates that are not of a stack's own authority: of ACME, and of the user."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from tests.contract.acme import authority
from tests.contract.driving import ONE_WORKER, Deployed, User, free_port, until, words
from tests.contract.https import Site, behind_tls
from tests.contract.own_certificate import serves_its_name
from tests.contract.second_host import alone, prefix
from tests.embedded.machine import EmbeddedMachine

CA, SERVER = "ca.test", "ml.stackctl.test"


@pytest.fixture
def named(person: User, tmp_path: Path) -> Iterator[User]:
    """The user on a machine that knows both names, and whose usual ports are nobody else's."""
    with alone(dict.fromkeys((CA, SERVER), "127.0.0.1"), tmp_path) as process:
        yield replace(person, prefix=prefix(process))


def test_a_certificate_of_acme_outlives_its_authority(
    named: User, name: str, tmp_path: Path
) -> None:
    deploy = [*words("scenario-3b", name, *ONE_WORKER), "--port", "443"]
    for setting in (f"public_url=https://{SERVER}", "tls=acme"):
        deploy += ["--set", setting]
    with authority(CA, named.prefix, tmp_path) as (directory, root):
        deploy += ["--set", f"acme_directory={directory}", "--set", f"acme_root={root}"]
        deployed = Deployed(named, tuple(deploy))
        deployed.deploy()
        assert "of a test" in issuer(named)
        known = named.having({"MLFLOW_TRACKING_SERVER_CERT_PATH": str(root)})
        known.client("write", name)
        known.client("read", name)
    # It is down now: the certificate that is there will do, whatever else is changed.
    deployed.deploy("--set", "workers=2")
    known.client("read", name)
    # A name for which there is none yet needs it.
    done = named.run(*deploy, "--set", f"public_url=https://other.{SERVER}", "--timeout", "30")
    assert done.returncode == 3, done.stderr
    assert f"{directory} gave no certificate for other.{SERVER} within 30 s; it" in done.stderr
    assert "stackctl logs proxy" in done.stderr
    # What was there before is there again.
    until(lambda: deployed.state() == "running", seconds=60, what="it runs again")
    known.client("read", name)
    # With the secrets of a backup it comes back, and needs no authority.
    archive, phrase = tmp_path / "a.tar", tmp_path / "phrase"
    phrase.write_text("a phrase of some length")
    sealed = ("--with-secrets", "--passphrase-file", str(phrase))
    named.ok("backup", name, "-o", str(archive), *sealed)
    key = next((deployed.stack.state / "proxy").rglob(f"{SERVER}.key")).read_bytes()
    assert key.split(b"\n")[1] not in archive.read_bytes()
    named.ok("remove", name, "--volumes", "--confirm", name)
    assert not deployed.stack.state.exists()
    named.ok("restore", str(archive), "--as-it-was", *sealed)
    known.client("read", name)
    assert next((deployed.stack.state / "proxy").rglob(f"{SERVER}.key")).read_bytes() == key


def issuer(user: User) -> str:
    """Who issued what the server shows on the user's machine."""
    asked = "import ssl; print(ssl.get_server_certificate(('127.0.0.1', 443)))"
    done = subprocess.run(
        [*user.prefix, sys.executable, "-c", asked], capture_output=True, text=True, check=True
    )
    return x509.load_pem_x509_certificate(done.stdout.encode()).issuer.rfc4514_string()


def test_a_certificate_of_the_user_serves_the_name(person: User, name: str, tmp_path: Path) -> None:
    serves_its_name(person, name, tmp_path)


def test_clients_write_to_their_bucket_by_https(person: User, name: str) -> None:
    port = free_port()
    deployed = Deployed(
        person, behind_tls("scenario-4", name, "", "auth=basic", f"object_store_port={port}")
    )
    deployed.deploy()
    person.client("write", name)
    person.client("read", name)
    store = Site(port, deployed.stack.secrets.path / "ca_certificate")
    # Neither somebody without a key, nor somebody with a wrong one, nor another bucket.
    wrong = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request, Signature=0"
    assert store.status("/mlflow/") == 403
    assert store.status("/mlflow/", Authorization=wrong) in (400, 403)
    assert store.status("/", Authorization=wrong) == 403
    assert store.status("/mlflow-other/", Authorization=wrong) == 403


# tests/render/test_proxy.py shows what Caddy is told.
@pytest.mark.matrix
def test_the_database_browser_is_asked_by_https(
    person: User, name: str, machine: EmbeddedMachine
) -> None:
    port = free_port()
    equipped = person.having(machine.equipment("scenario-3b-mysql"))
    words = behind_tls("scenario-3b-mysql", name, "/mlflow", f"browser_port={port}")
    deployed = Deployed(equipped, words)
    deployed.deploy()
    page = Site(port, deployed.stack.secrets.path / "ca_certificate").get("/")
    assert page.status in (200, 302)
    assert machine.listeners(deployed.stack) == {"127.0.0.1"}
