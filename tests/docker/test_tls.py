"""Certificates that are not of a stack's own authority, in containers: of ACME, and of the user."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.contract.acme import authority
from tests.contract.driving import ONE_WORKER, Deployed, User, free_port, words
from tests.contract.own_certificate import serves_its_name
from tests.contract.second_host import second_host

CA, SERVER = "ca.test", "ml.stackctl.test"
pytestmark = pytest.mark.matrix


def test_a_certificate_of_the_user_serves_the_name(person: User, name: str, tmp_path: Path) -> None:
    serves_its_name(person, name, tmp_path)


def test_an_authority_on_another_host_gives_one(person: User, name: str, tmp_path: Path) -> None:
    """It calls back at port 443 of this host's end of the cable."""
    (tmp_path / "authority").mkdir()
    with (
        second_host(SERVER, tmp_path) as there,
        authority(CA, there.prefix, tmp_path / "authority", there.own) as (directory, root),
    ):
        # The usual way for a container to know a host that no resolver knows.
        known_hosts = f'services: {{proxy: {{extra_hosts: ["{CA}:{there.own}"]}}}}\n'
        (person.home / "hosts.yaml").write_text(known_hosts)
        deploy = [*words("scenario-5", name, *ONE_WORKER), "--port", "443"]
        for setting in (
            f"public_url=https://{SERVER}/mlflow",
            "tls=acme",
            f"bind={there.address}",
            "auth=basic",
            f"acme_directory={directory}",
            f"acme_root={root}",
            f"http_port={free_port()}",
            "extra.compose=hosts.yaml",
        ):
            deploy += ["--set", setting]
        Deployed(person, tuple(deploy)).deploy()
        trusting = person.having({"MLFLOW_TRACKING_SERVER_CERT_PATH": str(root)})
        client = replace(trusting, prefix=there.prefix)
        client.client("write", name)
        client.client("read", name)
