"""A certificate that the user brings: checked before anything starts, shown, replaced."""

import ssl
from pathlib import Path

from tests.contract.driving import ONE_WORKER, Deployed, User, free_port, words
from tests.contract.https import DAY, Authority, Site


def serves_its_name(person: User, name: str, folder: Path) -> None:
    """Deploy `tls=files`, refused until the certificate is there and for the name."""
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
    root = folder / "root.pem"
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
