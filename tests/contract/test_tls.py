"""HTTPS in front of a stack, below a path and with a login, as clients and strangers meet it."""

import json
import ssl
from collections.abc import Callable
from typing import ClassVar

import pytest

from tests.contract.attacks import Attacks
from tests.contract.driving import Deployed, User, until
from tests.contract.https import SEARCH, Authority, Site, basic, behind_tls
from tests.contract.machine import Machine
from tests.contract.test_faults import kill_under_a_client

PREFIX = "/team/mlflow"


def answers(site: Site, path: str, entered: dict[str, str], status: int) -> None:
    """It does so, at once where more is allowed, soon where less is."""
    if status == 403:
        until(lambda: site.status(path, **entered) == status, seconds=20, what="a refusal")
    assert site.status(path, **entered) == status


class Tls(Attacks):
    """`tls=internal`."""

    prefix = PREFIX
    runtime: ClassVar[str]
    scenario: ClassVar[str]

    @pytest.fixture(scope="class")
    def deployed(self, machine: Machine, user: User, stack_name: Callable[[], str]) -> Deployed:
        chosen = behind_tls(self.scenario, stack_name(), PREFIX, "auth=basic")
        deployed = Deployed(user, chosen)
        deployed.deploy()
        user.client("write", deployed.name)
        return deployed

    @pytest.fixture
    def site(self, deployed: Deployed) -> Site:
        return Site(int(deployed.words[5]), deployed.stack.secrets.path / "ca_certificate")

    def test_a_real_client_logs_and_reads_back(self, deployed: Deployed) -> None:
        deployed.user.client("read", deployed.name)

    def test_nothing_is_published_but_the_proxy(self, deployed: Deployed) -> None:
        services = deployed.user.show(deployed.name)["services"]
        assert [service["name"] for service in services if service["ports"]] == ["proxy"]

    def test_a_second_deploy_changes_nothing(self, deployed: Deployed) -> None:
        deployed.user.ok("plan", deployed.name, "--detailed-exitcode")

    @pytest.mark.parametrize(
        "path",
        [
            f"{PREFIX}/", f"{PREFIX}{SEARCH}", f"{PREFIX}//{SEARCH}", f"{PREFIX}/%2e%2e/x",
            f"{PREFIX.upper()}{SEARCH}", f"{PREFIX}{PREFIX}{SEARCH}", f"/{PREFIX}{SEARCH}",
        ],
    )  # fmt: skip
    def test_the_login_holds_below_the_path(
        self, site: Site, path: str, login: dict[str, str]
    ) -> None:
        assert site.status(path) in (401, 404)
        if path == f"{PREFIX}{SEARCH}":
            assert site.status(path, **login) == 200

    @pytest.mark.parametrize(
        "path",
        [SEARCH, f"{PREFIX}/..{SEARCH}", f"{PREFIX}/../..{SEARCH}", f"/x{PREFIX}{SEARCH}",
         f"{PREFIX}x{SEARCH}", "/health", "/metrics", "/config/"],
    )  # fmt: skip
    def test_what_is_beside_the_path_is_nothing(
        self, site: Site, path: str, login: dict[str, str]
    ) -> None:
        assert site.status(path) == 404
        assert site.status(path, **login) == 404

    def test_its_own_root_leads_there(self, site: Site) -> None:
        answer = site.get("/")
        assert (answer.status, answer.headers["Location"]) == (308, f"{PREFIX}/")

    def test_another_name_is_refused(self, site: Site, login: dict[str, str]) -> None:
        assert site.status(f"{PREFIX}{SEARCH}", Host="evil.example", **login) == 421

    def test_answers_say_what_a_browser_needs(self, site: Site, login: dict[str, str]) -> None:
        headers = site.get(f"{PREFIX}/", **login).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "strict-origin-when-cross-origin"
        # Nobody but its own clients knows the authority: a browser could not be told otherwise.
        assert "Strict-Transport-Security" not in headers

    def test_who_does_not_know_the_authority_is_told(
        self, site: Site, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        other = tmp_path_factory.mktemp("other") / "ca.pem"
        other.write_text(Authority.new().certificate)
        with pytest.raises(ssl.SSLCertVerificationError):
            Site(site.port, other).status("/")

    def test_trust_gives_what_clients_are_told_of(self, deployed: Deployed, site: Site) -> None:
        assert deployed.user.ok("trust", deployed.name) == f"{site.trusted.read_text()}\n"
        told = deployed.user.ok("env", deployed.name, "--format", "dotenv")
        assert f"MLFLOW_TRACKING_SERVER_CERT_PATH={site.trusted}" in told.replace("'", "")

    def test_people_come_and_go_and_may_what_they_were_given(
        self, deployed: Deployed, site: Site
    ) -> None:
        user, of = deployed.user, ("--stack", deployed.name)
        password = user.ok("users", "add", "ada", *of).strip()
        assert basic("ada", password) not in user.ok("logs", *of)
        entered = {"Authorization": basic("ada", password)}
        assert site.status(f"{PREFIX}{SEARCH}", **entered) == 200
        listed = json.loads(user.ok("users", "list", "--json", *of))
        assert [(p["name"], p["admin"]) for p in listed] == [("ada", False), ("admin", True)]
        experiment = f"{PREFIX}/api/2.0/mlflow/experiments/get-by-name?experiment_name=contract"
        for permission, status in (("DENY", 403), ("READ", 200), ("READ", 200), ("DENY", 403)):
            user.ok("grant", "ada", permission, "experiment", "contract", *of)
            (grant,) = json.loads(user.ok("users", "show", "ada", "--json", *of))
            assert (grant["permission"], grant["kind"]) == (permission, "experiment")
            answers(site, experiment, entered, status)
        user.ok("revoke", "ada", "experiment", "contract", *of)
        assert json.loads(user.ok("users", "show", "ada", "--json", *of)) == []
        new = user.ok("users", "passwd", "ada", *of).strip()
        entered = {"Authorization": basic("ada", new)}
        assert site.status(f"{PREFIX}{SEARCH}", **entered) == 200
        for asked, said in (
            (("users", "add", "ada"), "already exists"),
            (("users", "passwd", "bob"), "not found"),
            (("grant", "ada", "READ", "experiment", "none"), "Could not find experiment"),
            (("grant", "ada", "READ", "model", "none"), "not found"),
        ):
            done = user.run(*asked, *of)
            assert done.returncode == 2, done.stderr
            assert said in done.stderr
            assert "password" not in done.stderr
            assert done.stdout == ""
        self.have_roles(deployed, site, entered)
        user.ok("users", "remove", "ada", *of)
        assert len(json.loads(user.ok("users", "list", "--json", *of))) == 1

    def have_roles(self, deployed: Deployed, site: Site, ada: dict[str, str]) -> None:
        """What ada may do with a role, and what several are given at once."""
        user, of = deployed.user, ("--stack", deployed.name)
        experiment = f"{PREFIX}/api/2.0/mlflow/experiments/get-by-name?experiment_name=contract"
        user.ok("roles", "add", "outsiders", "--description", "see nothing", *of)
        user.ok("roles", "grant", "outsiders", "DENY", "experiment", "*", *of)
        user.ok("roles", "grant", "outsiders", "READ", "experiment", "contract", *of)
        user.ok("roles", "grant", "outsiders", "DENY", "experiment", "contract", *of)
        people = user.home / "people.csv"
        people.write_text("user,admin,roles\nada,no,outsiders\neve,yes,outsiders\n")
        done = user.run("users", "import", str(people), *of)
        assert "nothing was changed; to do it, add --yes" in done.stderr
        assert site.status(experiment, **ada) == 200
        name, password = user.ok("users", "import", str(people), "--yes", *of).strip().split(",")
        assert name == "eve"
        answers(site, experiment, ada, 403)
        assert site.status(experiment, Authorization=basic("eve", password)) == 200
        (role,) = json.loads(user.ok("roles", "list", "--json", *of))
        assert role["users"] == ["ada", "eve"]
        assert {(g["permission"], g["name"]) for g in role["grants"]} == {
            ("DENY", "*"), ("DENY", "contract"),
        }  # fmt: skip
        user.ok("roles", "revoke", "outsiders", "experiment", "contract", *of)
        user.ok("roles", "unassign", "outsiders", "ada", *of)
        assert site.status(experiment, **ada) == 200
        user.ok("roles", "remove", "outsiders", *of)
        assert json.loads(user.ok("roles", "list", "--json", *of)) == []
        user.ok("users", "remove", "eve", *of)
        people.unlink()

    def test_a_killed_proxy_comes_back_and_nothing_acknowledged_is_lost(
        self, deployed: Deployed, machine: Machine
    ) -> None:
        kill_under_a_client(machine, deployed, "proxy")

    def test_no_secret_is_in_the_log_of_the_proxy(
        self, deployed: Deployed, site: Site, login: dict[str, str]
    ) -> None:
        site.status(f"{PREFIX}/x?token=geheim&X-Amz-Signature=geheim&a=b", Cookie="geheim", **login)
        told = deployed.user.ok("logs", "proxy", "--stack", deployed.name)
        assert "token=REDACTED" in told
        assert "geheim" not in told
        assert login["Authorization"] not in told


class TestDocker(Tls):
    """The image."""

    runtime, scenario = "docker", "scenario-3b"
    rarely = ("test_people_come_and_go_and_may_what_they_were_given",)


class TestEmbedded(Tls):
    """The wheel, with a second server behind it."""

    runtime, scenario = "embedded", "scenario-6"
