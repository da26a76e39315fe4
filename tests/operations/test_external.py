"""A database that somebody else runs: looked at, claimed, and never taken away."""

import pytest

from stackctl.archive import Archive
from stackctl.errors import BadSecret, BadSetting, MachineError, UserError
from stackctl.operations import doctor, external
from stackctl.operations.backup import backup
from stackctl.operations.drill import drill
from stackctl.operations.remove import remove_with_data
from stackctl.operations.restore import destination
from tests.operations.machine import Database
from tests.operations.stage import METER, Stage

THERE = ("database=external", "database_host=db.example.org", "database_name=ml")
SCENARIOS = ("scenario-5", "scenario-3b-mysql")


@pytest.fixture
def with_password(stage: Stage) -> Stage:
    """The user's password is there, for both stacks."""
    for name in SCENARIOS:
        stage.home.stack(name).secrets.take("database_password", "given")
    return stage


@pytest.fixture
def server(with_password: Stage) -> Database:
    """The database on that server."""
    return with_password.machine.world.databases.setdefault("ml", Database())


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_database_of_its_own_is_made(
    with_password: Stage, server: Database, scenario: str
) -> None:
    deployment = with_password.deployed(scenario, *THERE, runs=2)
    there = with_password.machine.world.services[deployment.stack.owner]
    assert not {"postgres", "mysql", "browser"} & set(there)
    assert len(server.tables["runs"]) == 2
    assert server.claim == f"stackctl {deployment.stack.owner} {scenario}"
    assert not with_password.deploy(scenario, *THERE)


def test_who_gives_no_password_is_told_to(stage: Stage) -> None:
    with pytest.raises(BadSecret, match="database_password: is missing"):
        stage.deploy("scenario-5", *THERE)


@pytest.mark.parametrize(
    ("says", "why", "hint"),
    [
        ({"only_read": True}, "only lets read, as a replica does", "name the primary"),
        ({"schema": None}, "has no schema that user mlflow may use", "database_schema"),
        ({"characters": "utf8mb3"}, "keeps texts as utf8mb3", "CHARACTER SET utf8mb4"),
        ({"revision": "x", "known": False}, "has MLflow's schema x, of a newer MLflow", "deploy"),
        ({"revision": "x", "newest": False}, "has MLflow's schema x, of an older", "upgrade"),
        ({"strangers": ["invoices"]}, "is another program's: it has invoices", "database_schema"),
        ({"may_create": False}, "lets user mlflow make no table in schema public", "GRANT CREATE"),
        ({"revision": "x", "claim": "stackctl abc theirs"},
         "is served by stack 'theirs' of another home", "stackctl remove theirs --volumes"),
    ],
)  # fmt: skip
def test_what_is_of_no_use_is_refused_and_left_as_it_is(
    with_password: Stage, server: Database, says: dict[str, object], why: str, hint: str
) -> None:
    server.says = says
    stack = with_password.home.stack("scenario-5")
    with pytest.raises(UserError) as refused:
        with_password.deploy("scenario-5", *THERE)
    assert refused.value.message.startswith("database ml at db.example.org ")
    assert why in refused.value.message
    assert hint in refused.value.hint
    assert server == Database(says=says)
    # Of the stack there is the user's password, and nothing else.
    assert (stack.manifest(), stack.secrets.names()) == (None, ["database_password"])
    assert not any(with_password.machine.world.services.values())


@pytest.mark.parametrize(
    ("failure", "hint"),
    [
        ('FATAL:  password authentication failed for user "mlflow"', "/database_password"),
        ("Access denied for user 'mlflow'@'10.0.0.1' (using password: YES)", "may use database ml"),
        ('server certificate for "a" does not match host name "b"', "--set database_host=NAME"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch, "
         "certificate is not valid for 'b'.", "--set database_host=NAME"),
        ("SSL error: certificate verify failed", "--set database_ca=FILE"),
        ("server does not support SSL, but SSL was required", "--set database_tls=off"),
        ("connection to server at 10.0.0.7 failed: Connection refused", "does it run"),
    ],
)  # fmt: skip
def test_why_it_lets_nobody_in_is_told_with_what_to_do(
    with_password: Stage, server: Database, failure: str, hint: str
) -> None:
    server.says = {"failure": failure}
    with pytest.raises(MachineError) as refused:
        with_password.deploy("scenario-5", *THERE)
    assert failure in refused.value.message
    assert hint in refused.value.hint
    assert "given" not in str(refused.value)


def test_what_it_holds_is_served_and_what_is_odd_is_told(
    with_password: Stage, server: Database
) -> None:
    server.tables["runs"] = ["a", "b", "c"]
    server.says = {"revision": "now", "late": -120.0, "free": 20, "strangers": ["views"]}
    assert with_password.deploy("scenario-5", *THERE)
    told = "\n".join(with_password.told)
    assert "database ml at db.example.org has MLflow's tables with 3 runs, which this stack" in told
    assert (
        "the clock of database ml at db.example.org is 120 s ahead of that of the servers" in told
    )
    assert "may open 30 connections, and database ml at db.example.org has 20 to give" in told
    assert "tables that MLflow did not make, and no backup takes along: views" in told
    found = {one.subject: one for one in doctor.examine(with_password.home)}
    assert found["database, scenario-5"].level == "warning"


def test_what_another_server_encrypted_waits_for_its_keys(
    with_password: Stage, server: Database
) -> None:
    server.revision, server.sealed = "schema of 3.17.2", {"webhook": {"hook": "of another"}}
    with pytest.raises(UserError, match="has 1 secret of a webhook, and the stack's own key opens"):
        with_password.deploy("scenario-5", *THERE)
    assert server.sealed == {"webhook": {"hook": "of another"}}


def test_a_stack_that_is_there_stays_with_it(with_password: Stage, server: Database) -> None:
    with_password.deploy("scenario-5", *THERE)
    for flag in ("database=own", "database_name=other", "database_schema=other"):
        with pytest.raises(UserError, match="would not find it"):
            with_password.deploy("scenario-5", *THERE, flag)


def test_another_place_is_that_of_a_copy(with_password: Stage, server: Database) -> None:
    with_password.deploy("scenario-5", *THERE)
    assert with_password.deploy("scenario-5", *THERE, "database_host=10.0.0.9")
    server.says = {"claim": ""}
    with pytest.raises(UserError, match="is not the one that this stack has served"):
        with_password.deploy("scenario-5", *THERE, "database_host=10.0.0.10")
    assert with_password.deploy("scenario-5", *THERE, "database_host=10.0.0.9", "workers=3")


def test_it_is_left_where_the_stack_is_taken_away(with_password: Stage, server: Database) -> None:
    deployment = with_password.deployed("scenario-5", *THERE, runs=1)
    remove_with_data(deployment, progress=with_password.progress)
    assert (len(server.tables["runs"]), server.claim) == (1, "")
    # What it takes to get in and to read what is there, and no more.
    assert deployment.secrets.names() == ["database_password", "gateway_passphrase", "webhook_key"]
    assert "kept database ml at db.example.org: somebody else runs it" in with_password.told


def test_a_stack_is_taken_away_whose_database_is_gone(
    with_password: Stage, server: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = with_password.deployed("scenario-5", *THERE)

    def gone(*_: object, **__: object) -> None:
        raise MachineError("no route to host")

    monkeypatch.setattr(type(deployment), "ask", gone)
    remove_with_data(deployment, progress=with_password.progress)
    assert any("goes on saying that this stack serves it" in line for line in with_password.told)


@pytest.fixture
def archived(with_password: Stage, server: Database) -> Archive:
    """Of a stack that uses it."""
    deployment = with_password.deployed("scenario-5", *THERE, runs=2)
    path = with_password.home.path / "a.tar"
    backup(deployment, path, meter=METER, progress=with_password.progress)
    return Archive(path)


def test_a_restore_goes_to_no_database_that_only_an_archive_names(
    with_password: Stage, archived: Archive
) -> None:
    with archived, pytest.raises(UserError, match="database_host=db") as refused:
        destination(archived, with_password.home, "other", ())
    assert "--as-it-was" in refused.value.hint
    with archived:
        own = destination(archived, with_password.home, "other", ("database=own",))
    assert "postgres" in own.settings.services(own.scenario.services)


def test_a_drill_needs_no_such_database(
    with_password: Stage, server: Database, archived: Archive
) -> None:
    before = list(server.tables["runs"])
    with archived:
        found = drill(archived, with_password.home, "docker", as_it_was=False, timeout=1,
                      meter=METER, progress=with_password.progress)  # fmt: skip
    assert found.counts["runs"] == 2
    assert server.tables["runs"] == before


@pytest.mark.parametrize(
    ("scenario", "flags", "key"),
    [
        ("scenario-3b", THERE, "database"),
        ("scenario-1", THERE, "database"),
        ("scenario-3b-mysql", (*THERE, "database_schema=ml"), "database_schema"),
        ("scenario-5", (*THERE, "auth=oidc", "oidc.issuer=https://id.example.org",
                        "oidc.client_id=x", "oidc.groups=ml"), "auth"),
        ("scenario-5", (*THERE, "database_host=127.0.0.2"), "database_host"),
        ("scenario-5", (*THERE, "database_host=localhost"), "database_host"),
    ],
)  # fmt: skip
def test_what_does_not_go_with_it_is_refused(
    with_password: Stage, scenario: str, flags: tuple[str, ...], key: str
) -> None:
    with pytest.raises(BadSetting) as refused:
        with_password.deploy(scenario, *flags)
    assert refused.value.key == key


def test_a_password_that_others_may_use_changes_only_by_name(
    with_password: Stage, server: Database
) -> None:
    deployment = with_password.deployed("scenario-5", *THERE)
    found = deployment.backend.credentials(deployment.settings)
    (password,) = [one for one in found if "database_password" in one.names]
    assert password.only_by_name


def test_a_plan_says_when_it_is_looked_at(with_password: Stage, server: Database) -> None:
    wanted = with_password.wanted("scenario-5", *THERE)
    assert list(external.told(wanted)) == [
        "database ml at db.example.org is looked at by deploy, before anything starts"
    ]
    with_password.deploy("scenario-5", *THERE)
    (line,) = external.told(wanted)
    assert line.startswith("database, scenario-5: PostgreSQL 18.1 with TLS; schema ")
