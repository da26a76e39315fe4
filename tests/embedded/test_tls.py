"""Certificates that are not of a stack's own authority: of ACME, and of the user."""

import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509

from stackctl.runtimes.embedded import components
from tests.contract.driving import ONE_WORKER, Deployed, User, free_port, until, words
from tests.contract.https import DAY, Authority, Site
from tests.contract.second_host import alone, prefix

CA, SERVER = "ca.test", "ml.stackctl.test"
# An authority that asks for a name is told of it at these ports, and no others.
ACME = """{{
	admin off
	persist_config off
	skip_install_trust
	auto_https disable_redirects
	storage file_system "{folder}"
	http_port {http}
	https_port {https}
	pki {{
		ca local {{
			name "of a test"
		}}
	}}
}}
https://{name}:{https} {{
	bind 127.0.0.1
	tls internal
	acme_server {{
		challenges http-01 tls-alpn-01
	}}
}}
"""


@pytest.fixture
def named(person: User, tmp_path: Path) -> Iterator[User]:
    """The user on a machine that knows both names, and whose usual ports are nobody else's."""
    with alone(dict.fromkeys((CA, SERVER), "127.0.0.1"), tmp_path) as process:
        yield replace(person, prefix=prefix(process))


@contextmanager
def authority(user: User, folder: Path) -> Iterator[tuple[str, Path]]:
    """Its directory, and the certificate that vouches for that."""
    program = components.find_all()["caddy"].programs["caddy"]
    https, http = free_port(), free_port()
    config = folder / "Caddyfile"
    config.write_text(ACME.format(folder=folder / "kept", name=CA, https=https, http=http))
    command = [*user.prefix, program, "run", "--config", str(config), "--adapter", "caddyfile"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={"HOME": str(folder)})
        try:
            root = folder / "kept/pki/authorities/local/root.crt"
            until(root.exists, seconds=30, what=(folder / "log").read_text())
            yield f"https://{CA}:{https}/acme/local/directory", root
        finally:
            process.terminate()
            process.wait(timeout=30)


def test_a_certificate_of_acme_outlives_its_authority(
    named: User, name: str, tmp_path: Path
) -> None:
    deploy = [*words("scenario-3b", name, *ONE_WORKER), "--port", "443"]
    for setting in (f"public_url=https://{SERVER}", "tls=acme"):
        deploy += ["--set", setting]
    with authority(named, tmp_path) as (directory, root):
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
    port, mine = free_port(), Authority.new()
    deploy = [*words("scenario-3b", name, *ONE_WORKER), "--port", str(port)]
    for setting in (f"public_url=https://localhost:{port}/ml", "tls=files", "auth=basic"):
        deploy += ["--set", setting]
    done = person.run(*deploy)
    assert done.returncode == 2, done.stderr
    assert "tls_certificate: is missing" in done.stderr
    secrets = person.home / ".secrets" / name
    secrets.mkdir(mode=0o700, parents=True)
    secrets.parent.chmod(0o700)

    def put(certificate: str, key: str) -> None:
        for file, text in (("tls_certificate", certificate), ("tls_key", key)):
            (secrets / file).write_text(text)
            (secrets / file).chmod(0o600)

    put(*mine.issue("other.example"))
    done = person.run(*deploy)
    assert done.returncode == 2, done.stderr
    assert "the certificate is for other.example, and not for localhost" in done.stderr
    put(*mine.issue("localhost"))
    Deployed(person, tuple(deploy)).deploy()
    root = tmp_path / "root.pem"
    root.write_text(mine.certificate)
    known = person.having({"MLFLOW_TRACKING_SERVER_CERT_PATH": str(root)})
    known.client("write", name)
    known.client("read", name)
    site = Site(port, root)
    assert site.get("/ml/").headers["Strict-Transport-Security"] == "max-age=31536000"
    # One that ends is replaced by the next deploy.
    certificate, key = mine.issue("localhost", ends=200 * DAY)
    put(certificate, key)
    person.ok(*deploy)
    shown = ssl.get_server_certificate(("localhost", port)).strip()
    assert shown == certificate.strip()
