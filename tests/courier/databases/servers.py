"""Database servers of their own for the tests of a session: bare, in memory's speed, no stack."""

import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy

from stackctl.runtimes.embedded import components
from tests.contract.driving import free_port

DATABASE = "store"
# What an address has to quote.
PASSWORD = f"p@s/s:w% {secrets.token_hex(8)}"


@contextmanager
def postgres() -> Iterator[str]:
    """PostgreSQL from the wheel of the embedded runtime; gives the address of a database."""
    user = components.service_user()
    found = components.find_all()["postgres"]
    if user:
        usable = components.for_user(found, user)
        components.copy(found, usable)
        found = usable
    programs = Path(found.programs["bin"])
    with _folder(user) as folder:
        (folder / "password").write_text(PASSWORD)
        data = folder / "data"
        _run(
            [str(programs / "initdb"), "-D", str(data), "-U", "tests", "-A", "scram-sha-256",
             f"--pwfile={folder / 'password'}", "-E", "UTF8", "--locale=C", "--no-sync"],
            user,
        )  # fmt: skip
        port = free_port()
        command = [str(programs / "postgres"), "-D", str(data), "-p", str(port)]
        for setting in ("listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"):
            command += ["-c", setting]

        address = f"postgresql+psycopg2://tests:{quote(PASSWORD, '')}@127.0.0.1:{port}/"
        with _server(command, user, folder, f"{address}postgres") as connection:
            connection.execute(sqlalchemy.text(f"CREATE DATABASE {DATABASE}"))
            yield f"{address}{DATABASE}"


@contextmanager
def mysql(programs: Path) -> Iterator[str]:
    """MySQL or MariaDB, whichever is in the folder; gives the address of a database."""
    with _folder("") as folder:
        data = folder / "data"
        options = ["--no-defaults", f"--datadir={data}"]
        if (programs / "mariadbd").exists():
            server = str(programs / "mariadbd")
            _run([str(programs / "mariadb-install-db"), *options, "--skip-test-db",
                  "--auth-root-authentication-method=normal"])  # fmt: skip
            more = ["--skip-log-bin"]
        else:
            server = str(programs / "mysqld")
            _run([server, *options, "--initialize-insecure", "--user=root"])
            more = ["--disable-log-bin", "--mysqlx=OFF", "--secure-file-priv=NULL"]
        accounts = folder / "accounts.sql"
        accounts.write_text(
            f"CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4;\n"
            f"CREATE USER tests@'127.0.0.1' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL ON *.* TO tests@'127.0.0.1';\n"
            f"ALTER USER root@localhost IDENTIFIED BY '{PASSWORD}';\n"
        )
        port = free_port()
        command = [
            server, *options, *more, "--user=root", f"--port={port}", "--bind-address=127.0.0.1",
            f"--socket={folder}/s.sock", f"--pid-file={folder}/pid", f"--init-file={accounts}",
            "--character-set-server=utf8mb4", "--innodb-flush-log-at-trx-commit=0",
            "--skip-name-resolve",
        ]  # fmt: skip

        address = f"mysql+pymysql://tests:{quote(PASSWORD, '')}@127.0.0.1:{port}/{DATABASE}"
        with _server(command, "", folder, address):
            yield address


@contextmanager
def _folder(user: str) -> Iterator[Path]:
    """A short path that the user can reach, as it cannot those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="stackctl-courier-", dir="/tmp"))
    if user:
        shutil.chown(folder, user)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _server(
    command: list[str], user: str, folder: Path, address: str
) -> Iterator[sqlalchemy.Connection]:
    """A server while it runs, and a connection to it."""
    engine = sqlalchemy.create_engine(address, isolation_level="AUTOCOMMIT")
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                   cwd=folder, **_as(user))  # fmt: skip
    try:
        end = time.monotonic() + 60
        while True:
            try:
                connection = engine.connect()
                break
            except sqlalchemy.exc.OperationalError as error:
                said = f"{error}\n{log.read_text(errors='replace')[-2000:]}"
            assert process.poll() is None, said
            assert time.monotonic() < end, said
            time.sleep(0.1)
        with closing(connection):
            yield connection
    finally:
        engine.dispose()
        process.kill()
        process.wait()


def _run(command: list[str], user: str = "") -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **_as(user))
    assert done.returncode == 0, done.stdout + done.stderr


def _as(user: str) -> dict[str, Any]:
    if not user:
        return {}
    account = pwd.getpwnam(user)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
