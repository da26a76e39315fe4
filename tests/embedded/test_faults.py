"""What only processes of the machine itself can suffer, and what must hold then."""

import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import shlex
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg2
import pytest

from stackctl.runtimes.embedded import folders
from stackctl.runtimes.embedded.keeper import LOCK
from stackctl.runtimes.embedded.supervision import Supervision
from tests.contract.driving import ONE_WORKER, Deployed, User, until, words
from tests.contract.machine import Life
from tests.disk import full, small_disk
from tests.embedded.machine import EmbeddedMachine

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do that to a machine")


def supervision(deployed: Deployed) -> Supervision:
    return Supervision(folders.run(deployed.stack), folders.logs(deployed.stack))


def all_gone(machine: EmbeddedMachine, deployed: Deployed) -> None:
    def left() -> list[str]:
        found = machine.running(deployed.stack)
        return [what for what in found if what.startswith(("process", "port"))]

    with contextlib.suppress(AssertionError):
        until(lambda: not left(), seconds=30, what="nothing is left")
    assert left() == []


def cut_the_power(machine: EmbeddedMachine, deployed: Deployed) -> None:
    """End every process of the stack at once, with no time for a farewell."""
    processes = machine.processes(deployed.stack)
    for act in (psutil.Process.suspend, psutil.Process.kill):
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                act(process)
    all_gone(machine, deployed)


def started_again(before: dict[str, Life], now: dict[str, Life]) -> bool:
    """Every service lives, and none of them lives its life of before."""
    return before.keys() == now.keys() and not before.items() & now.items()


class TestSupervisor:
    """One stack of scenario-5, in the order of its misfortunes."""

    scenario = "scenario-5"

    def test_inner_ports_ask_who_calls(self, deployed: Deployed) -> None:
        ports = folders.ports(deployed.stack)
        with pytest.raises(psycopg2.OperationalError, match="authentication failed"):
            psycopg2.connect(
                host="127.0.0.1", port=ports["postgres"], user="mlflow", password="guessed"
            )
        for port, path in (("volume", "1,ff00000112345678"), ("objects", "mlflow")):
            url = f"http://127.0.0.1:{ports[port]}/{path}"
            with pytest.raises(urllib.error.HTTPError, match=r"401|403"):
                urllib.request.urlopen(urllib.request.Request(url, b"x", method="PUT"), timeout=20)
        anybody = ssl.create_default_context()
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        for name in ("objects", "master", "volume", "filer", "admin"):
            with (
                socket.create_connection(("127.0.0.1", ports[name] + 10000), 20) as plain,
                pytest.raises(ssl.SSLError, match=r"(?i)certificate"),
                anybody.wrap_socket(plain) as connection,
            ):
                connection.recv(1)

    def test_killed_supervisord_comes_back_and_nothing_acknowledged_is_lost(
        self, deployed: Deployed, machine: EmbeddedMachine
    ) -> None:
        with deployed.under_a_client() as acknowledged:
            before = machine.lives(deployed.stack)
            killed = int((folders.run(deployed.stack) / "supervisord.pid").read_text())
            os.kill(killed, signal.SIGKILL)
            until(
                lambda: started_again(before, machine.lives(deployed.stack)),
                seconds=60, what="every service was started again",
            )  # fmt: skip
            at_restart = acknowledged()
            until(lambda: acknowledged() >= at_restart + 10, seconds=90, what="the client goes on")
        until(lambda: deployed.state() == "running", seconds=60, what="all is well again")
        guards = [p for p in machine.processes(deployed.stack) if "guard" in " ".join(p.cmdline())]
        assert len(guards) == len({tuple(p.cmdline()) for p in guards}), "a guard runs twice"

    @pytest.mark.matrix
    def test_killed_keeper_takes_everything_with_it(
        self, deployed: Deployed, machine: EmbeddedMachine
    ) -> None:
        keeper = supervision(deployed).keeper()
        assert keeper is not None
        os.kill(keeper, signal.SIGKILL)
        all_gone(machine, deployed)
        assert deployed.state() == "stopped"

    def test_after_a_power_cut_it_says_stopped_and_deploys_with_its_data(
        self, deployed: Deployed, machine: EmbeddedMachine
    ) -> None:
        deployed.deploy()
        cut_the_power(machine, deployed)
        assert deployed.state() == "stopped"
        told = deployed.deploy()
        assert "nothing to do" not in told
        deployed.user.client("read", deployed.name)

    @pytest.mark.matrix
    def test_data_that_are_still_in_use_are_waited_for(
        self, deployed: Deployed, machine: EmbeddedMachine
    ) -> None:
        """As when the stack's folder was deleted, and its processes have not noticed yet."""
        deployed.user.ok("remove", deployed.name)
        folders = [os.open(folder, os.O_RDONLY) for folder in machine.volumes(deployed.stack)]
        for folder in folders:
            fcntl.flock(folder, fcntl.LOCK_EX)
        try:
            done = deployed.user.run(*deployed.words, "--timeout", "3")
            assert done.returncode == 3, done.stderr
            assert "starting" in done.stderr
        finally:
            for folder in folders:
                os.close(folder)
        deployed.deploy()
        deployed.user.client("read", deployed.name)

    @pytest.mark.matrix
    def test_process_that_got_an_old_number_is_never_signalled(
        self, deployed: Deployed, machine: EmbeddedMachine
    ) -> None:
        cut_the_power(machine, deployed)
        with subprocess.Popen(["sleep", "600"]) as stranger:
            try:
                run = folders.run(deployed.stack)
                assert (run / LOCK).exists()
                (run / "supervisord.pid").write_text(f"{stranger.pid}\n")
                for path in run.glob("*.json"):
                    path.write_text(json.dumps({**json.loads(path.read_text()),
                                                "pid": stranger.pid}))  # fmt: skip
                assert deployed.state() == "stopped"
                deployed.user.ok("remove", deployed.name)
                deployed.deploy()
                assert stranger.poll() is None
            finally:
                stranger.kill()

    @pytest.mark.matrix
    def test_inner_port_that_a_stranger_took_is_replaced(self, deployed: Deployed) -> None:
        deployed.user.ok("remove", deployed.name)
        before = folders.ports(deployed.stack)
        with socket.create_server(("127.0.0.1", before["master"])), \
             socket.create_server(("127.0.0.1", before["postgres"])):  # fmt: skip
            deployed.deploy()
            after = folders.ports(deployed.stack)
            changed = {name for name in before if before[name] != after[name]}
            assert changed == {"master", "postgres"}
            deployed.user.client("read", deployed.name)

    @pytest.mark.matrix
    def test_second_stack_beside_it_shares_nothing(
        self, deployed: Deployed, machine: EmbeddedMachine, name: str
    ) -> None:
        second = Deployed(deployed.user, tuple(words("scenario-5", name, *ONE_WORKER)))
        second.deploy()
        ports = [set(folders.ports(d.stack).values()) for d in (deployed, second)]
        assert not ports[0] & ports[1]
        mine = {p.pid for p in machine.processes(deployed.stack)}
        assert not mine & {p.pid for p in machine.processes(second.stack)}
        second.user.ok("remove", name, "--volumes", "--confirm", name)
        assert machine.leftovers(second.stack) == []
        assert deployed.state() == "running"

    @pytest.mark.matrix
    def test_damaged_database_is_never_made_anew(
        self, deployed: Deployed, machine: EmbeddedMachine
    ) -> None:
        deployed.user.ok("remove", deployed.name)
        folder = next(f for f in machine.volumes(deployed.stack) if f.name == "postgres")
        version = next(folder.rglob("docker/PG_VERSION"))
        before = sorted(folder.rglob("base/*/*"))
        kept = version.rename(version.with_name("away"))
        done = deployed.user.run(*deployed.words)
        assert done.returncode == 3, done.stderr
        assert "no database that this user can read; nothing was changed" in done.stderr
        assert sorted(folder.rglob("base/*/*")) == before
        kept.rename(version)
        deployed.deploy()
        deployed.user.client("read", deployed.name)

    @root_only
    @pytest.mark.matrix
    def test_stack_of_another_user_is_refused(
        self, deployed: Deployed, machine: EmbeddedMachine
    ) -> None:
        before = machine.lives(deployed.stack)
        os.chown(deployed.stack.folder, pwd.getpwnam("nobody").pw_uid, -1)
        for command in (deployed.words, ["remove", deployed.name]):
            done = deployed.user.run(*command)
            assert done.returncode == 2, done.stderr
            assert "sudo -u nobody" in done.stderr
        os.chown(deployed.stack.folder, 0, -1)
        assert machine.lives(deployed.stack) == before

    @pytest.mark.matrix
    def test_data_of_a_newer_postgres_are_refused_and_untouched(
        self, deployed: Deployed, machine: EmbeddedMachine
    ) -> None:
        deployed.user.ok("remove", deployed.name)
        folder = next(f for f in machine.volumes(deployed.stack) if f.name == "postgres")
        (folder / "18").rename(folder / "19")
        (folder / "19" / "docker" / "PG_VERSION").write_text("19\n")
        done = deployed.user.run(*deployed.words)
        assert done.returncode == 2, done.stderr
        assert "made by PostgreSQL 19" in done.stderr
        assert [entry.name for entry in folder.glob("[!.]*")] == ["19"]
        assert machine.running(deployed.stack) == []


class TestFolders:
    """What happens to a stack's folders while it runs, or before."""

    scenario = "scenario-3b"
    settings = ONE_WORKER

    @pytest.mark.matrix
    def test_deleted_folder_stops_everything(
        self, deployed: Deployed, machine: EmbeddedMachine
    ) -> None:
        before = machine.processes(deployed.stack)
        shutil.rmtree(deployed.stack.folder)
        gone, alive = psutil.wait_procs(before, timeout=30)
        assert gone
        assert alive == []
        # The data were not in it: the next deploy finds them.
        deployed.deploy()
        deployed.user.client("read", deployed.name)

    def test_moved_home_stops_everything_and_runs_at_the_new_place(
        self, deployed: Deployed, machine: EmbeddedMachine, tmp_path: Path
    ) -> None:
        """The last of those who share a stack: it believes to be at the new place after that."""
        home = deployed.user.home
        before = machine.processes(deployed.stack)
        moved = home.rename(tmp_path / "moved")
        gone, alive = psutil.wait_procs(before, timeout=30)
        assert gone
        assert alive == []
        new = Deployed(User(moved, deployed.user.variables), deployed.words)
        try:
            assert new.state() == "stopped"
            # MLflow keeps absolute paths of artifacts, and would make the old folder anew.
            done = new.user.run(*new.words)
            assert done.returncode == 2, done.stderr
            assert f"ln -s {moved} {shlex.quote(str(home))}" in done.stderr
            assert not home.exists()
            home.symlink_to(moved)
            new.deploy()
            new.user.client("read", new.name)
        finally:
            new.user.run("remove", new.name)
            home.unlink(missing_ok=True)
            moved.rename(home)

    @pytest.mark.matrix
    def test_data_of_a_newer_mlflow_are_refused_and_untouched(
        self, person: User, machine: EmbeddedMachine, name: str
    ) -> None:
        deployed = Deployed(person, tuple(words("scenario-3b", name)))
        deployed.deploy()
        person.ok("remove", name)
        database = person.home / "data" / name / "mlruns.db"
        with contextlib.closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
        before = hashlib.sha256(database.read_bytes()).hexdigest()
        done = person.run(*deployed.words)
        assert done.returncode == 3, done.stderr
        assert "a newer MLflow" in done.stderr
        assert hashlib.sha256(database.read_bytes()).hexdigest() == before
        assert machine.running(deployed.stack) == []

    @pytest.mark.matrix
    def test_folder_of_somebody_else_is_refused_and_untouched(
        self, person: User, machine: EmbeddedMachine, name: str, tmp_path: Path
    ) -> None:
        theirs = tmp_path / "objects"
        theirs.mkdir()
        (theirs / "thesis.txt").write_text("mine")
        done = person.run(*words("scenario-5", name, "--set", f"data={tmp_path}"))
        assert done.returncode == 2, done.stderr
        assert f"{theirs} is there already" in done.stderr
        assert [p.name for p in tmp_path.rglob("*")] == ["objects", "thesis.txt"]
        assert machine.leftovers(person.stack(name)) == []

    @root_only
    @pytest.mark.matrix
    def test_full_disk_is_told_and_leaves_nothing(
        self, person: User, machine: EmbeddedMachine, name: str, tmp_path: Path
    ) -> None:
        with small_disk(tmp_path / "small") as disk:
            disk.chmod(0o755)
            # Enough for the folders, not for a database.
            done = person.run(*words("scenario-5", name, "--set", f"data={disk}/data"))
            assert done.returncode == 3, done.stderr
            assert "free some disk space" in done.stderr
            assert machine.leftovers(person.stack(name)) == []
            with full(disk):
                done = person.run(*words("scenario-5", name, "--set", f"data={disk}/data"))
                assert done.returncode == 3, done.stderr
                assert "no space left" in done.stderr
            assert list(disk.iterdir()) == []

    @root_only
    @pytest.mark.matrix
    def test_read_only_disk_is_refused(
        self, person: User, machine: EmbeddedMachine, name: str, tmp_path: Path
    ) -> None:
        with small_disk(tmp_path / "small") as disk:
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            done = person.run(*words("scenario-5", name, "--set", f"data={disk}/data"))
            assert done.returncode == 2, done.stderr
            assert "Read-only file system" in done.stderr
            assert machine.leftovers(person.stack(name)) == []


class TestMachine:
    """A machine that lacks something, or has it in an unusual form."""

    @pytest.mark.parametrize(
        ("words_", "told"),
        [
            (("scenario-3b-mysql",), "apt install mariadb-server-core"),
            (("scenario-5", "--set", "object_store=minio"), "object_store=seaweedfs"),
        ],
    )
    def test_missing_program_names_what_to_do(
        self,
        person: User,
        machine: EmbeddedMachine,
        name: str,
        words_: tuple[str, ...],
        told: str,
    ) -> None:
        scenario, *more = words_
        done = person.run(*words(scenario, name, *more))
        assert done.returncode == 3, done.stderr
        assert told in done.stderr
        assert len(done.stderr.splitlines()) == 2, "the runtime, and one line of what is wrong"
        assert machine.leftovers(person.stack(name)) == []

    def test_long_path_is_no_obstacle(
        self, user: User, machine: EmbeddedMachine, name: str
    ) -> None:
        deep = user.home / "très" / ("long " * 20).strip() / ("path" * 25)
        deep.mkdir(parents=True)
        assert len(os.fsencode(deep)) > 200
        somebody = User(deep, user.variables)
        deployed = Deployed(somebody, tuple(words("scenario-5", name, "--set", "auth=basic")))
        try:
            deployed.deploy()
            assert deployed.state() == "running"
            somebody.client("write", name)
        finally:
            somebody.run("remove", name, "--volumes", "--confirm", name)
        assert machine.leftovers(somebody.stack(name)) == []

    @root_only
    @pytest.mark.matrix
    def test_full_tmp_is_no_obstacle(self, user: User, name: str) -> None:
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            somebody = User(Path(folder), user.variables, FULL_TMP)
            deployed = Deployed(somebody, tuple(words("scenario-5", name, *ONE_WORKER)))
            try:
                deployed.deploy()
                assert deployed.state() == "running"
            finally:
                somebody.ok("remove", name, "--volumes", "--confirm", name)


def _visible_again() -> str:
    """Shell words that bring back what of this program lies below /tmp."""
    needed = {Path(sys.prefix), Path(sys.base_prefix), Path(__file__).parents[2]}
    lines = [
        f'mkdir -p {shlex.quote(str(path))}; mount --bind "/run{path}" {shlex.quote(str(path))}'
        for path in sorted(needed)
        if path.is_relative_to("/tmp")
    ]
    return "; ".join([*lines, ":"])


# A mount name space of its own, in which /tmp has no space left.
FULL_TMP = (
    "unshare", "--mount", "sh", "-euc",
    "mount -t tmpfs none /run; mkdir /run/tmp; mount --bind /tmp /run/tmp; "
    "mount -t tmpfs -o size=64k none /tmp; " + _visible_again() +
    "; cat /dev/zero > /tmp/filler 2> /dev/null || :"
    '; ! echo x > /tmp/more 2> /dev/null; exec "$@"',
    "sh",
)  # fmt: skip


class TestOrdinaryUser:
    """Somebody who is not root: databases and everything else run as that user."""

    @pytest.fixture
    def ordinary(
        self, machine: EmbeddedMachine, user: User, tmp_path: Path, name: str
    ) -> Iterator[User]:
        if os.getuid() != 0:
            pytest.skip("this user is an ordinary one: every other test shows it")
        home = tmp_path / "home of nobody"
        account = pwd.getpwnam("nobody")
        for folder in (home, home / "client"):
            folder.mkdir()
            os.chown(folder, account.pw_uid, account.pw_gid)
        os.chown(tmp_path, account.pw_uid, account.pw_gid)
        for parent in tmp_path.parents:
            if parent.stat().st_mode & 0o001 == 0 and parent.name.startswith("pytest"):
                parent.chmod(0o711)
        # Python itself may lie in a folder of root's: the user may read everything, write nothing.
        drop = (
            "setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups",
            "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search",
            "--bounding-set=-all,+dac_read_search",
        )  # fmt: skip
        somebody = User(home, {**user.variables, "HOME": str(home)}, drop)
        yield somebody
        somebody.run("remove", name, "--volumes", "--confirm", name)
        machine.clean_up(somebody)

    def test_deploys_uses_and_removes(
        self, ordinary: User, machine: EmbeddedMachine, name: str
    ) -> None:
        deployed = Deployed(ordinary, tuple(words("scenario-5", name, *ONE_WORKER)))
        deployed.deploy()
        ordinary.client("write", name)
        uid = pwd.getpwnam("nobody").pw_uid
        assert {p.uids().real for p in machine.processes(deployed.stack)} == {uid}
        assert {p.stat().st_uid for p in ordinary.home.rglob("*")} == {uid}
        deployed.deploy()
        ordinary.client("read", name)
        ordinary.ok("remove", name, "--volumes", "--confirm", name)
        assert machine.leftovers(deployed.stack) == []

    @pytest.mark.matrix
    def test_port_of_root_is_refused(self, ordinary: User, name: str) -> None:
        done = ordinary.run("deploy", "scenario-3b", "--name", name, "--port", "81")
        assert done.returncode == 2, done.stderr
        assert "port=81" in done.stderr
