"""A database that somebody else runs, reached from containers."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import sqlalchemy

from tests.contract.driving import ONE_WORKER, Deployed, User, words
from tests.contract.https import Authority
from tests.courier.databases import servers
from tests.docker.machine import DockerMachine
from tests.embedded import debian


@pytest.fixture
def server(outside: str, tmp_path: Path) -> Iterator[tuple[sqlalchemy.URL, Path]]:
    """PostgreSQL 15 at the address at which containers find this machine; and its authority."""
    authority, ca = Authority.new(), tmp_path / "c a.pem"
    ca.write_text(authority.certificate)
    tls = servers.Tls(authority.certificate, *authority.issue(outside))
    with ExitStack() as stack:
        try:
            running = stack.enter_context(servers.postgres(tls, outside))
        except debian.ProgramsUnavailable as reason:
            pytest.skip(f"none here: {reason}")
        yield sqlalchemy.make_url(running.address), ca


@pytest.mark.matrix
def test_it_is_used_backed_up_and_left(
    machine: DockerMachine, person: User, name: str, server: tuple[sqlalchemy.URL, Path],
    tmp_path: Path,
) -> None:  # fmt: skip
    url, ca = server
    person.stack(name).secrets.take("database_password", str(url.password))
    chosen = ("database=external", f"database_host={url.host}", f"database_port={url.port}",
              f"database_name={url.database}", f"database_user={url.username}")  # fmt: skip
    settings = [word for pair in chosen for word in ("--set", pair)]
    deploy = [*words("scenario-5", name, *ONE_WORKER), *settings]
    done = person.run(*deploy)
    assert done.returncode == 3, done.stderr
    assert "--set database_ca=FILE" in done.stderr
    assert machine.containers(name) == {}
    deployed = Deployed(person, (*deploy, "--set", f"database_ca={ca}"))
    deployed.deploy()
    assert "postgres" not in machine.containers(name)
    person.client("write", name)
    archive = str(tmp_path / "a.tar")
    person.ok("backup", name, "-o", archive)
    person.ok("drill", archive)
    told = person.run("doctor").stdout
    assert f"database, {name}: PostgreSQL 15" in told
    person.ok("remove", name)
    deployed.deploy()
    person.client("read", name)
    person.ok("remove", name, "--volumes", "--confirm", name)
    with sqlalchemy.create_engine(url).connect() as connection:
        assert (
            connection.scalar(sqlalchemy.text("SELECT count(*) FROM runs WHERE name = 'größe'"))
            == 1
        )
