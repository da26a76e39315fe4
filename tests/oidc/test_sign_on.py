"""Single sign-on with a certified OpenID provider: who comes in, who does not, and what stays."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import ClassVar

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from tests.contract.driving import User, until
from tests.oidc.conftest import SignOn
from tests.oidc.provider import Visitor, provider, token_for_another

SEARCH = "api/2.0/mlflow/experiments/search?max_results=1"
GET = "api/2.0/mlflow/experiments/get"
ME = "api/2.0/mlflow/users/current"
TOKENS = f"{ME}/tokens"
# What a program does, whose person made it a token.
PROGRAM = """
import mlflow
mlflow.set_experiment("of a program")
with mlflow.start_run() as run:
    mlflow.log_metric("loss", 0.5)
    mlflow.log_text("hello", "note.txt")
print(mlflow.MlflowClient().get_run(run.info.run_id).data.metrics)
"""


def experiment(of: Visitor, name: str) -> str:
    """The id of a new one."""
    made = of.ask("api/2.0/mlflow/experiments/create", "POST", name=name)
    assert made.status_code == 200, made.text
    return str(made.json()["experiment_id"])


def token(of: Visitor, name: str) -> str:
    """A new one for a program of theirs, good for a day."""
    until = (datetime.now(UTC) + timedelta(days=1)).isoformat()
    made = of.ask(TOKENS, "POST", name=name, expiration=until)
    assert made.status_code == 201, made.text
    return str(made.json()["token"])


def log_in(page: Page, address: str, name: str) -> None:
    """As a person does, who is led to the provider."""
    page.goto(address)
    page.locator("input[name=login]").fill(name)
    page.locator("input[name=password]").fill("anything")
    page.locator("button[type=submit]").click()
    page.get_by_role("button", name="Continue").click()


class Logins:
    """What holds on every runtime."""

    runtime: ClassVar[str]
    scenario: ClassVar[str]

    def test_nobody_gets_in_without_a_login(self, signing_on: SignOn) -> None:
        for path in (SEARCH, "ajax-api/2.0/mlflow/experiments/search", "graphql", "version",
                     "api/2.0/mlflow-artifacts/artifacts", "get-artifact", ME):  # fmt: skip
            assert signing_on.visitor("").ask(path).status_code == 401, path
        for claimed in (
            "X-Forwarded-User",
            "Remote-User",
            "X-Forwarded-Email",
            "X-Auth-Request-User",
        ):
            asked = requests.get(
                f"{signing_on.url}/{SEARCH}", headers={claimed: "admin"}, timeout=60
            )
            assert asked.status_code == 401, claimed

    def test_a_page_of_another_name_is_refused_its_calls(self, signing_on: SignOn) -> None:
        own = signing_on.own
        for header in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            own.session.headers.update(header)
            made = own.ask("api/2.0/mlflow/experiments/create", "POST", name="of another")
            assert made.status_code == 403, (header, made.text)
            own.session.headers.clear()

    def test_groups_say_who_comes_in_and_who_is_an_administrator(self, signing_on: SignOn) -> None:
        found = {name: signing_on.come_in(name).ask(ME) for name in ("ada", "eve", "root", "admin")}
        assert {name: answer.status_code for name, answer in found.items()} == {
            "ada": 200, "eve": 401, "root": 200, "admin": 200,
        }  # fmt: skip
        assert not found["ada"].json()["is_admin"]
        assert found["root"].json()["is_admin"]
        # That the provider calls somebody so makes them nobody's administrator.
        assert not found["admin"].json()["is_admin"]

    def test_what_nobody_was_given_is_forbidden(self, signing_on: SignOn) -> None:
        ada, bob = signing_on.come_in("ada"), signing_on.come_in("bob")
        mine = experiment(ada, "of ada")
        assert ada.ask(GET, experiment_id=mine).status_code == 200
        assert bob.ask(GET, experiment_id=mine).status_code == 403
        given = f"api/2.0/mlflow/permissions/users/bob@example.org/experiments/{mine}"
        assert signing_on.own.ask(given, "POST", permission="READ").ok
        # Each worker remembers for five seconds what it decided.
        until(
            lambda: bob.ask(GET, experiment_id=mine).status_code == 200,
            seconds=20, what="what is granted counts",
        )  # fmt: skip
        renamed = bob.ask("api/2.0/mlflow/experiments/update", "POST",
                          experiment_id=mine, new_name="of bob")  # fmt: skip
        assert renamed.status_code == 403

    def test_a_program_logs_with_a_token_of_its_person(self, signing_on: SignOn) -> None:
        given = token(signing_on.come_in("ada"), "training")
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False,
            env={**signing_on.deployed.user.environment, "MLFLOW_TRACKING_URI": signing_on.url,
                 "MLFLOW_TRACKING_USERNAME": "ada@example.org", "MLFLOW_TRACKING_PASSWORD": given},
        )  # fmt: skip
        assert "{'loss': 0.5}" in done.stdout, done.stderr
        assert signing_on.program("bob@example.org", given).ask(SEARCH).status_code == 401


class Stays(Logins):
    """And what takes longer."""

    def test_a_browser_logs_in_and_out(self, signing_on: SignOn, browser: Browser) -> None:
        ada = signing_on.come_in("ada")
        hidden = experiment(ada, "of ada alone")
        window = browser.new_context()
        page = window.new_page()
        log_in(page, signing_on.url, "bob")
        expect(page.get_by_text("Welcome to MLflow")).to_be_visible()
        assert window.request.get(f"{signing_on.url}/{ME}").json()["username"] == "bob@example.org"
        page.goto(f"{signing_on.url}/#/experiments/{hidden}")
        expect(page.get_by_role("link", name="Logout")).to_be_visible()
        expect(page.get_by_text("of ada alone")).to_have_count(0)
        hers = window.request.get(f"{signing_on.url}/{GET}?experiment_id={hidden}")
        assert hers.status == 403
        page.goto(f"{signing_on.url}/logout")
        assert window.request.get(f"{signing_on.url}/{SEARCH}", max_redirects=0).status == 401
        window.close()

    def test_a_code_opens_once_and_for_who_asked_for_it(self, signing_on: SignOn) -> None:
        ada, thief = signing_on.visitor("ada"), signing_on.visitor("eve")
        back = ada.log_in(until=f"{signing_on.url}/callback").headers["Location"]
        ada.session.get(back, timeout=60)
        assert ada.ask(SEARCH).status_code == 200
        thief.session.get(back, timeout=60)
        assert thief.ask(SEARCH).status_code == 401
        cookies = ada.session.cookies.copy()
        ada.session.get(f"{signing_on.url}/logout", timeout=60, allow_redirects=False)
        # Neither what was used nor what the browser kept opens anything.
        thief.session.cookies = cookies
        assert thief.ask(SEARCH).status_code == 401
        thief.session.get(back, timeout=60)
        assert thief.ask(SEARCH).status_code == 401

    def test_a_token_for_another_program_opens_nothing(self, signing_on: SignOn) -> None:
        signing_on.come_in("ada")
        given = token_for_another(signing_on.provider.issuer, "ada")
        asked = requests.get(
            f"{signing_on.url}/{SEARCH}", headers={"Authorization": f"Bearer {given}"}, timeout=60
        )
        assert asked.status_code == 401

    def test_commands_say_whose_people_they_are(self, signing_on: SignOn) -> None:
        deployed = signing_on.deployed
        done = deployed.user.run("users", "list", "--stack", deployed.name)
        assert done.returncode == 2
        assert "those of its OpenID provider" in done.stderr
        assert f"{signing_on.url}/oidc/ui" in done.stderr
        assert f"provider, {deployed.name}" in deployed.user.run("doctor").stdout

    def test_new_secrets_leave_the_old_ones_void(self, signing_on: SignOn) -> None:
        deployed = signing_on.deployed
        before, ada = signing_on.own, signing_on.come_in("ada")
        given = token(ada, "before")
        deployed.user.ok("secrets", "rotate", "admin_password", "flask_secret_key",
                         "--stack", deployed.name)  # fmt: skip
        assert before.ask(SEARCH).status_code == 401
        assert signing_on.own.ask(SEARCH).status_code == 200
        assert ada.ask(SEARCH).status_code == 401
        assert signing_on.program("ada@example.org", given).ask(SEARCH).status_code == 200

    def test_people_come_back_with_a_backup(
        self, signing_on: SignOn, user: User, tmp_path: Path
    ) -> None:
        ada, bob = signing_on.come_in("ada"), signing_on.come_in("bob")
        mine = experiment(ada, "kept")
        given = f"api/2.0/mlflow/permissions/users/bob@example.org/experiments/{mine}"
        assert signing_on.own.ask(given, "POST", permission="READ").ok
        of_bob = token(bob, "kept")
        archive = str(tmp_path / "people.tar")
        user.ok("backup", signing_on.deployed.name, "-o", archive)
        assert signing_on.own.ask(given, "DELETE").ok
        user.ok("restore", archive, "--name", signing_on.deployed.name, "--replace")
        program = signing_on.program("bob@example.org", of_bob)
        assert program.ask(GET, experiment_id=mine).status_code == 200
        assert signing_on.own.ask(SEARCH).status_code == 200

    def test_while_the_provider_is_down_who_is_in_stays_in(self, signing_on: SignOn) -> None:
        ada, deployed = signing_on.come_in("ada"), signing_on.deployed
        issuer = signing_on.provider.issuer
        signing_on.provider.stop()
        assert ada.ask(SEARCH).status_code == 200
        assert "nobody can log in anew" in deployed.deploy("--set", "log_level=warning")
        assert ada.ask(SEARCH).status_code == 200
        assert signing_on.visitor("bob").ask("login").status_code == 500
        told = deployed.user.run("doctor").stdout
        assert f"{issuer}/.well-known/openid-configuration does not answer" in told
        host, port = issuer.removeprefix("http://").split(":")
        with provider(host, int(port), signing_on.url):
            assert signing_on.come_in("bob").ask(SEARCH).status_code == 200


class TestEmbedded(Stays):
    """PostgreSQL, two workers."""

    runtime = "embedded"
    scenario = "scenario-5"


class TestSQLite(Logins):
    """People in a file of their own."""

    runtime = "embedded"
    scenario = "scenario-3b"
    rarely = ("test_a_page_of_another_name_is_refused_its_calls",
              "test_a_program_logs_with_a_token_of_its_person")  # fmt: skip


# Makes another image.
@pytest.mark.matrix
class TestDocker(Logins):
    """In an image of its own."""

    runtime = "docker"
    scenario = "scenario-5"
