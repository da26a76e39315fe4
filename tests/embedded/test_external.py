"""Databases that somebody else runs: PostgreSQL 15 and MySQL of Debian, which speak TLS alone."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
import sqlalchemy

from tests.contract.driving import ONE_WORKER, Deployed, User, free_port, until, words
from tests.contract.https import Authority
from tests.courier.databases import servers
from tests.embedded import debian


@dataclass(frozen=True)
class Server:
    """One that runs, and its authority.

    Attributes:
        url: As who may do everything.
        kind: `postgres` or `mysql`.
        ca: The file of its authority.
        running: It.
    """

    url: sqlalchemy.URL
    kind: str
    ca: Path
    running: servers.Running

    def do(self, *statements: str, database: str = "") -> list[tuple[object, ...]]:
        """What the last of some statements gives."""
        url = self.url.set(database=database) if database else self.url
        made = sqlalchemy.create_engine(url, isolation_level="AUTOCOMMIT")
        found: list[tuple[object, ...]] = []
        with made.connect() as connection:
            for statement in statements:
                result = connection.exec_driver_sql(statement)
                found = [tuple(row) for row in result] if result.returns_rows else []
        made.dispose()
        return found

    def settings(self, database: str, *more: str, user: str = "tests") -> list[str]:
        """The words of a deploy that uses a database on it."""
        chosen = ("database=external", "database_host=localhost",
                  f"database_port={self.url.port}", f"database_name={database}",
                  f"database_user={user}", f"database_ca={self.ca}", *more)  # fmt: skip
        return [word for pair in chosen for word in ("--set", pair)]


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.new()


# Of MySQL what is refused is always shown.
KINDS = ("postgres", pytest.param("mysql", marks=pytest.mark.matrix))


@pytest.fixture(scope="module")
def server(
    request: pytest.FixtureRequest, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """Each kind."""
    ca = tmp_path_factory.mktemp("c a") / "ca.pem"
    ca.write_text(authority.certificate)
    tls = servers.Tls(authority.certificate, *authority.issue("localhost"))
    with ExitStack() as stack:
        try:
            running = stack.enter_context(
                servers.postgres(tls) if request.param == "postgres"
                else servers.mysql(debian.mysql(), tls)
            )  # fmt: skip
        except debian.ProgramsUnavailable as reason:
            pytest.skip(f"none here: {reason}")
        yield Server(sqlalchemy.make_url(running.address), request.param, ca, running)


SCENARIOS = {"postgres": "scenario-5", "mysql": "scenario-5-mysql"}


def put(person: User, name: str, password: str, file: str = "database_password") -> None:
    """A secret that its owner gives, in place of what is there."""
    secrets = person.stack(name).secrets
    secrets.forget(file)
    secrets.take(file, password)


@dataclass
class Team:
    """A user, and a stack on a database of its own of that server."""

    person: User
    server: Server
    name: str
    database: str

    def words(
        self, *more: str, name: str = "", database: str = "", user: str = "tests"
    ) -> list[str]:
        """A deploy."""
        name = name or self.name
        put(self.person, name, str(self.server.url.password))
        chosen = self.server.settings(database or self.database, *more, user=user)
        return [*words(SCENARIOS[self.server.kind], name, *ONE_WORKER), *chosen]


@pytest.fixture
def team(server: Server, person: User, name: str) -> Iterator[Team]:
    """Whose database is `it's ours ö`, beside one of another program."""
    database = "it's ours ö"
    quoted = f'"{database}"' if server.kind == "postgres" else f"`{database}`"
    more = "" if server.kind == "postgres" else " CHARACTER SET utf8mb4"
    server.do(f"CREATE DATABASE {quoted}{more}", f"CREATE DATABASE other{more}")
    server.do("CREATE TABLE invoices (id INTEGER PRIMARY KEY)", database="other")
    yield Team(person, server, name, database)
    person.run("remove", name, "--volumes", "--confirm", name)
    force = " WITH (FORCE)" if server.kind == "postgres" else ""
    server.do(f"DROP DATABASE {quoted}{force}", f"DROP DATABASE other{force}")


def refused(person: User, line: Sequence[str], code: int, *told: str) -> None:
    """A deploy ends so, and leaves nothing but what its owner gave."""
    done = person.run(*line)
    assert done.returncode == code, done.stderr
    for text in told:
        assert text in done.stderr
    assert not (person.home / ".stackctl" / line[3]).exists()


@pytest.mark.parametrize("server", ["postgres", "mysql"], indirect=True, scope="module")
def test_what_cannot_be_used_is_refused_before_anything_starts(
    team: Team, authority: Authority, tmp_path: Path
) -> None:
    person, server = team.person, team.server
    line = team.words()
    put(person, team.name, "wrong")
    refused(person, line, 3, "lets no server in", "/database_password")
    line = team.words()
    other = tmp_path / "other.pem"
    other.write_text(Authority.new().certificate)
    refused(person, [*line, "--set", f"database_ca={other}"], 3, "--set database_ca=FILE")
    refused(person, [*line, "--set", "database_ca=/nowhere"], 2, "it cannot be read")
    refused(person, [*line, "--set", "database_host=127.0.0.1"], 3, "its certificate is for")
    refused(person, [*line, "--set", f"database_port={free_port()}"], 3, "does it run")
    refused(person, [*line, "--set", "database_name=nowhere"], 3, "make it there")
    refused(person, [*line, "--set", "database_tls=off"], 3, "lets no server in")
    refused(person, team.words(database="other"), 2, "is another program's: it has invoices")
    assert server.do("SELECT count(*) FROM invoices", database="other") == [(0,)]


@pytest.mark.parametrize("server", KINDS, indirect=True, scope="module")
def test_runs_go_there_and_come_back_from_whatever_happens(
    team: Team, authority: Authority, tmp_path: Path, name: str
) -> None:
    """With a login; and where that can be, in a schema beside somebody else's tables, by a
    certificate and a password of its own.
    """
    person, server, archive = team.person, team.server, tmp_path / "a.tar"
    more, database, user = ["auth=basic"], team.database, "tests"
    if server.kind == "postgres":
        more, database = [*more, "database_schema=ml"], "other"
        user = servers.CERTIFIED
        server.do(
            f"CREATE ROLE {user} LOGIN PASSWORD '{server.url.password}'".replace("%", "%%"),
            f"CREATE SCHEMA ml AUTHORIZATION {user}", database=database,
        )  # fmt: skip
        line = team.words(*more, database=database, user=user)
        refused(person, line, 3, "lets no server in", "certificate")
        more.append("database_certificate=true")
    deployed = Deployed(person, tuple(team.words(*more, database=database, user=user)))
    given(person, name, authority)
    deployed.deploy()
    person.client("write", name)
    # Nobody else's stack writes there.
    second = team.words(*more, database=database, user=user, name=f"{name}-2")
    given(person, f"{name}-2", authority)
    refused(person, second, 2, f"is served by stack '{name}'")
    assert "database, " in person.run("plan", *deployed.words[1:]).stderr
    # While it is down nothing is lost, and it is found again.
    server.running.stop()
    assert person.run("smoke", name).returncode != 0
    server.running.start()
    until(lambda: deployed.state() == "running", seconds=60, what="it heals")
    person.client("read", name)
    # The root of this server is not to get another.
    mine = ["database_password"] if user != "tests" else []
    person.ok("secrets", "rotate", "admin_password", "webhook_key", *mine, "--stack", name)
    password = deployed.stack.secrets.read("database_password").reveal()
    person.ok("gc", name)
    if server.kind == "postgres":
        # What others keep beside it is not taken along, and not touched.
        server.do("CREATE TABLE ml.notes (id INTEGER PRIMARY KEY)",
                  "INSERT INTO ml.notes VALUES (1)", database=database)  # fmt: skip
        told = person.run("backup", name, "-o", str(archive))
        assert (told.returncode, "notes: tables of the database" in told.stderr) == (0, True)
        person.ok("restore", str(archive), "--name", name, "--replace")
        assert server.do("SELECT id FROM ml.notes", database=database) == [(1,)]
        put(person, f"{name}-2", password)
        refused(person, second, 2, f"is served by stack '{name}'")
    else:
        person.ok("backup", name, "-o", str(archive))
        person.ok("remove", name, "--volumes", "--confirm", name)
        put(person, name, password)
        server.do(f"DROP DATABASE `{database}`",
                  f"CREATE DATABASE `{database}` CHARACTER SET utf8mb4")  # fmt: skip
        person.ok("restore", str(archive), "--as-it-was")
    person.client("read", name)
    # And where there is no such server at all.
    if server.kind == "postgres":
        person.ok("remove", name, "--volumes", "--confirm", name)
        person.ok("restore", str(archive), "--set", "database=own")
        person.client("read", name)
        person.ok("backup", name, "-o", str(tmp_path / "own.tar"))
        person.ok("remove", name, "--volumes", "--confirm", name)
        # What pg_dump 18 wrote goes into PostgreSQL 15.
        put(person, name, str(server.url.password))
        flags = server.settings(team.database, "database_schema=", "database_certificate=false")
        person.ok("restore", str(tmp_path / "own.tar"), "--name", name, *flags)
        person.client("read", name)


def given(person: User, name: str, authority: Authority, password: str = "") -> None:
    """What the owner of the database gave; all of it is asked for where it is PostgreSQL's."""
    certificate, key = authority.issue("the team")
    put(person, name, certificate, "database_client_certificate")
    put(person, name, key, "database_client_key")
    if password:
        put(person, name, password)
