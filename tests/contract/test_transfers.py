"""Large artifacts that go past the server, by addresses that it signs."""

import json
from collections.abc import Callable
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pytest

from tests.contract.bucket import bucket
from tests.contract.driving import Deployed, User, free_port
from tests.contract.https import Site, basic, behind_tls
from tests.contract.machine import Machine

KEYS = ("s3_access_key", "s3_secret_key")
PREFIX = "/ml"
PROXIED = f"{PREFIX}/api/2.0/mlflow-artifacts"


class Transfers:
    """`transfers=direct` behind HTTPS, with a login."""

    runtime: ClassVar[str]
    scenario: ClassVar[str] = "scenario-5"

    @pytest.fixture(scope="class")
    def deployed(self, machine: Machine, user: User, stack_name: Callable[[], str]) -> Deployed:
        chosen = behind_tls(
            self.scenario, stack_name(), PREFIX, "auth=basic", "default_permission=NO_PERMISSIONS",
            "transfers=direct", f"object_store_port={free_port()}",
        )  # fmt: skip
        deployed = Deployed(user, chosen)
        deployed.deploy()
        user.client("large", deployed.name)
        return deployed

    @pytest.fixture
    def site(self, deployed: Deployed) -> Site:
        """Where addresses are signed."""
        return self.sites(deployed)[0]

    @pytest.fixture
    def objects(self, deployed: Deployed) -> Site:
        """Where they lead."""
        return self.sites(deployed)[1]

    def sites(self, deployed: Deployed) -> tuple[Site, Site]:
        chosen, trusted = deployed.stack.require_manifest().settings, "ca_certificate"
        file = deployed.stack.secrets.path / trusted
        server = chosen["artifacts_port"] if self.scenario == "scenario-6" else chosen["port"]
        return Site(int(server), file), Site(int(chosen["object_store_port"]), file)

    @pytest.fixture
    def signed(self, deployed: Deployed, site: Site, login: dict[str, str]) -> str:
        """Path and query of an address of the large artifact."""
        path = json.loads(deployed.user.state(deployed.name).read_text())["large"]
        told = site.get(f"{PROXIED}/presigned/{path}", **login)
        assert told.status == 200
        parts = urlsplit(json.loads(told.content)["url"])
        return f"{parts.path}?{parts.query}"

    def test_its_bytes_are_nothing_to_the_server(self, deployed: Deployed, objects: Site) -> None:
        asked = requests_to_proxy(deployed)
        past = [r for r in asked if r["host"].endswith(f":{objects.port}")]
        parts = [r for r in past if r["method"] == "PUT" and "large.bin" in r["uri"]]
        assert len(parts) == 4, parts
        assert any(r["method"] == "GET" for r in past)
        through = {
            r["method"] for r in asked
            if "/mlflow-artifacts/artifacts/" in r["uri"] and "large.bin" in r["uri"]
        }  # fmt: skip
        assert through == set()
        # A small one is worth no calls more.
        assert [r for r in asked if r["method"] == "PUT" and r["uri"].endswith("/small.txt")]

    @pytest.mark.parametrize(
        "path",
        ["/", "/mlflow?list-type=2", "/mlflow/artifacts/", "/healthz", "/?Action=ListUsers",
         "/status?X-Amz-Signature=x", "/?Action=AssumeRoleWithWebIdentity&X-Amz-Signature=x"],
    )  # fmt: skip
    def test_who_has_no_signed_address_meets_the_proxy_alone(
        self, objects: Site, path: str
    ) -> None:
        assert objects.status(path) == 403
        keys = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request, Signature=x"
        assert objects.status(path, Authorization=keys) == 403
        assert objects.send("POST", path, b"x=1").status == 403

    def test_a_signed_address_opens_one_thing(self, objects: Site, signed: str) -> None:
        assert objects.status(signed) == 200
        other = signed.replace("large.bin", "small.txt")
        assert other != signed
        assert objects.status(other) == 403
        assert objects.status(f"{signed[:-4]}0000") == 403
        assert objects.status("/mlflow?list-type=2&X-Amz-Signature=0") in (400, 403)

    def test_the_login_decides_who_gets_one(
        self, deployed: Deployed, site: Site, signed: str
    ) -> None:
        of = ("--stack", deployed.name)
        password = deployed.user.ok("users", "add", "eve", *of).strip()
        entered = {"Authorization": basic("eve", password)}
        path = urlsplit(signed).path.partition("/artifacts/")[2]
        folder = path.rpartition("/")[0]
        for asked in (f"presigned/{path}", f"mpu/create/{folder}"):
            assert site.status(f"{PROXIED}/{asked}") == 401
        assert site.status(f"{PROXIED}/presigned/{path}", **entered) == 403
        body = json.dumps({"path": "x.bin", "num_parts": 1}).encode()
        told = site.send("POST", f"{PROXIED}/mpu/create/{folder}", body, **entered)
        assert told.status == 403

    def test_what_is_not_there_is_said_to_be_none(self, site: Site, login: dict[str, str]) -> None:
        assert site.status(f"{PROXIED}/presigned/1/nothing.bin", **login) == 404

    def test_what_a_killed_client_left_goes_with_its_run(self, deployed: Deployed) -> None:
        user, name = deployed.user, deployed.name
        user.client("begin and go", name)
        run = json.loads(user.state(name).read_text())["begun"]
        shown = user.ok("gc", name, "--older-than", "0s", "--yes")
        (line,) = [line for line in shown.splitlines() if run in line]
        assert "5.2 MB" in line
        keys = (deployed.stack.secrets.read(key).reveal() for key in KEYS)
        if self.runtime == "embedded":
            left = bucket(deployed, *keys).list_multipart_uploads(Bucket="mlflow")
            assert not left.get("Uploads")

    def test_no_log_tells_an_address_whole(self, deployed: Deployed, signed: str) -> None:
        told = deployed.user.ok("logs", "--stack", deployed.name)
        assert "X-Amz-Signature=REDACTED" in told
        assert signed.partition("X-Amz-Signature=")[2].partition("&")[0] not in told

    def test_a_second_deploy_changes_nothing(self, deployed: Deployed) -> None:
        deployed.user.ok("plan", deployed.name, "--detailed-exitcode")


def requests_to_proxy(deployed: Deployed) -> list[dict[str, Any]]:
    """Every request that the proxy answered, as it logged it."""
    lines = deployed.user.ok("logs", "proxy", "--stack", deployed.name).splitlines()
    entries = [json.loads(line[line.index("{") :]) for line in lines if "{" in line]
    return [entry["request"] for entry in entries if "request" in entry]


class TestEmbedded(Transfers):
    runtime = "embedded"


@pytest.mark.matrix
class TestEmbeddedTwoServers(Transfers):
    runtime, scenario = "embedded", "scenario-6"


@pytest.mark.matrix
class TestDocker(Transfers):
    runtime = "docker"
