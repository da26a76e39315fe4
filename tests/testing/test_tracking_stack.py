"""TrackingStack on real runtimes: what it gives, what it takes away, and what it says."""

import os
import re
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stackctl.errors import UnknownName, UserError
from stackctl.machine import reserve
from stackctl.stack import Home, Stack
from stackctl.testing import TrackingStack, tracking_stack
from tests.contract.driving import until
from tests.docker.machine import DockerMachine

pytest_plugins = ["pytester"]

NOWHERE = "unix:///nonexistent/docker.sock"
# Tells its name, and is killed while it starts.
STARTS = """
from stackctl.testing import TrackingStack
stack = TrackingStack("scenario-5", runtime="docker")
print(stack.name, flush=True)
stack.start()
"""
# Quotes the statement that it cannot execute, as mysqld does. The one in question has a password.
BROKEN_MYSQLD = """#!/bin/sh
case "$*" in *--version*) echo "mysqld  Ver 9.7.0 for Linux"; exit;; esac
for word; do
  case $word in
    --datadir=*) echo "$word" >> {noted};;
    --init-file=*) cat "${{word#*=}}";;
  esac
done
echo "[ERROR] this server is broken"
exit 1
"""


def homes(folder: Path) -> list[Path]:
    """The homes of stacks that are there."""
    return list(folder.glob("stackctl-testing-*"))


def watchers(home: Path) -> list[psutil.Process]:
    return [
        process for process in psutil.process_iter(["cmdline"])
        if {str(home), "stackctl.testing.watch"} <= set(process.info["cmdline"] or ())
    ]  # fmt: skip


class TestWithoutStarting:
    def test_stack_that_is_not_started_says_so(self) -> None:
        stack = TrackingStack()
        with pytest.raises(UserError, match=r"is not started; use it in `with TrackingStack"):
            _ = stack.tracking_uri
        stack.stop()

    def test_names_are_unique(self) -> None:
        assert TrackingStack().name != TrackingStack().name

    @pytest.mark.parametrize(("value", "kept"), [("1", True), ("0", False), ("", False)])
    def test_variable_keeps_stacks(
        self, monkeypatch: pytest.MonkeyPatch, value: str, kept: bool
    ) -> None:
        monkeypatch.setenv("STACKCTL_TESTING_KEEP", value)
        assert TrackingStack().keep is kept

    def test_port_that_the_user_chose_is_not_exchanged(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DOCKER_HOST", NOWHERE)
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        with socket.create_server(("127.0.0.1", 0)) as theirs:
            port = theirs.getsockname()[1]
            stack = TrackingStack("scenario-2", runtime="embedded", settings={"port": port})
            with pytest.raises(Exception, match=f"port {port} on 127.0.0.1 is taken by") as error:
                stack.start()
        assert type(error.value).__name__ == "PortTaken"
        assert homes(tmp_path) == []


class TestOnDocker:
    """One stack for all; another one is killed in its start meanwhile."""

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return tmp_path_factory.mktemp("homes")

    @pytest.fixture(scope="class")
    @classmethod
    def killed(cls, docker_machine: DockerMachine, folder: Path) -> Stack:
        """A stack whose process is killed when its database has begun to start."""
        process = subprocess.Popen(
            [sys.executable, "-c", STARTS], stdout=subprocess.PIPE, text=True,
            env={**os.environ, **docker_machine.variables, "TMPDIR": str(folder)},
        )  # fmt: skip
        assert process.stdout is not None
        stack = Home(folder).stack(process.stdout.readline().strip())
        until(lambda: "postgres" in docker_machine.lives(stack), seconds=60, what="it has begun")
        process.kill()
        process.communicate()
        return stack

    @pytest.fixture(scope="class")
    @classmethod
    def stack(
        cls, docker_machine: DockerMachine, killed: Stack, folder: Path
    ) -> Iterator[TrackingStack]:
        """Somebody takes the first port that it chose, before it listens there."""
        stolen: list[socket.socket] = []

        def stealing() -> socket.socket:
            held = reserve()
            if not stolen:
                stolen.append(socket.create_server(held.getsockname()))
            return held

        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DOCKER_HOST", docker_machine.host)
            patch.setenv("STACKCTL_PORT", "1")  # of no consequence
            patch.setattr("tempfile.tempdir", str(folder))
            patch.setattr(tracking_stack, "reserve", stealing)
            stack = TrackingStack("scenario-5", settings={"auth": "basic", "workers": 1})
            with stack:
                assert not stack.tracking_uri.endswith(f":{stolen[0].getsockname()[1]}")
                (home,) = (
                    home for home in homes(folder) if (home / ".secrets" / stack.name).exists()
                )
                (watcher,) = watchers(home)
                stolen[0].close()
                yield stack
            assert docker_machine.leftovers(Home(home).stack(stack.name)) == []
            assert not home.exists()
            assert not watcher.is_running()

    def test_client_logs_and_reads(self, stack: TrackingStack) -> None:
        import mlflow

        with stack.as_environment():
            assert mlflow.get_tracking_uri() == stack.tracking_uri
            mlflow.set_experiment("of the stack")
            with mlflow.start_run() as run:
                mlflow.log_metric("loss", 0.5)
                mlflow.log_text("größer", "note.txt")
            assert mlflow.get_run(run.info.run_id).data.metrics == {"loss": 0.5}
            uri = f"runs:/{run.info.run_id}/note.txt"
            assert mlflow.artifacts.load_text(uri) == "größer"

    def test_mlflow_is_afterwards_as_before(
        self, stack: TrackingStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import mlflow

        before = dict(os.environ)
        monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        uri = tmp_path.as_uri()
        try:
            mlflow.set_tracking_uri(uri)
            mine = mlflow.set_experiment("mine")
            with stack.as_environment():
                theirs = mlflow.set_experiment("of the stack, too")
                mlflow.set_registry_uri(uri)
                # Nobody ends it, as in a test that fails.
                run = mlflow.start_run()
            assert run.info.experiment_id == theirs.experiment_id
            assert mlflow.active_run() is None
            assert mlflow.get_tracking_uri() == mlflow.get_registry_uri() == uri
            with mlflow.start_run() as own:
                assert own.info.experiment_id == mine.experiment_id
            with stack.as_environment():
                assert mlflow.get_run(run.info.run_id).info.status == "FINISHED"
        finally:
            vars(mlflow)["set_tracking_uri"](None)
            vars(mlflow.tracking.fluent)["_active_experiment_id"] = None
            for name in os.environ.keys() - before.keys() - {"MLFLOW_ALLOW_FILE_STORE"}:
                del os.environ[name]

    def test_compose_reaches_the_containers(
        self, stack: TrackingStack, docker_machine: DockerMachine
    ) -> None:
        compose = stack.compose
        host, port = compose.get_service_host_and_port("tracking", 5000)
        assert f"http://{host}:{port}" == stack.ui == stack.tracking_uri
        there = docker_machine.containers(stack.name)
        short = compose.get_container("postgres").ID
        assert short
        assert there["postgres"].id.startswith(short)
        out, _, code = compose.exec_in_container(["cat", "/etc/hostname"], "postgres")
        assert (out.strip(), code) == (short, 0)

    def test_using_compose_as_a_context_stops_nothing(
        self, stack: TrackingStack, docker_machine: DockerMachine
    ) -> None:
        before = docker_machine.lives(Home(Path()).stack(stack.name))
        with stack.compose as compose:
            assert compose.get_container("tracking").State == "running"
        assert docker_machine.lives(Home(Path()).stack(stack.name)) == before

    def test_compose_without_testcontainers_says_what_to_install(
        self, stack: TrackingStack, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delitem(sys.modules, "stackctl.testing.compose", raising=False)
        monkeypatch.setitem(sys.modules, "testcontainers.compose", None)
        with pytest.raises(
            UserError, match=r"needs testcontainers\.compose, which is not installed"
        ):
            _ = stack.compose

    def test_logs_are_those_of_the_services(self, stack: TrackingStack) -> None:
        assert "Uvicorn running" in stack.logs("tracking")
        assert "database system is ready" in stack.logs("postgres")
        assert len(stack.logs("tracking", tail=3).splitlines()) == 3
        assert {"tracking", "postgres", "objects"} <= set(
            re.findall(r"^([a-z]+)-1 ", stack.logs(), re.M)
        )
        with pytest.raises(UnknownName, match="there is no service 'trackin'"):
            stack.logs("trackin")

    def test_secret_is_among_the_variables_and_shown_by_none(self, stack: TrackingStack) -> None:
        variables = stack.environment
        secret = variables["MLFLOW_TRACKING_PASSWORD"]
        assert len(secret) >= 12
        shown = f"{stack!r} {variables!r} {vars(stack)!r} {stack.compose!r}"
        assert stack.tracking_uri in shown
        assert str(secret) not in shown

    def test_killed_while_it_starts_leaves_nothing(
        self, stack: TrackingStack, killed: Stack, docker_machine: DockerMachine, folder: Path
    ) -> None:
        until(lambda: docker_machine.leftovers(killed) == [], seconds=60, what="nothing is left")
        until(lambda: len(homes(folder)) == 1, seconds=10, what="its home is gone")


@pytest.fixture
def data_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine without Docker whose mysqld is broken; the file in which that notes its folders."""
    # The databases' user, another one where root deploys, is to reach it.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        noted, program = Path(folder) / "noted", Path(folder) / "mysqld"
        noted.touch()
        noted.chmod(0o666)
        program.write_text(BROKEN_MYSQLD.format(noted=noted))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
        monkeypatch.setenv("DOCKER_HOST", NOWHERE)
        monkeypatch.setenv("TMPDIR", str(tmp_path))
        monkeypatch.setattr("tempfile.tempdir", None)
        yield noted


@pytest.mark.skipif(sys.platform != "linux", reason="the embedded runtime needs Linux")
def test_stack_that_does_not_start_is_explained_by_the_error_of_the_test(
    data_folders: Path, tmp_path: Path, pytester: pytest.Pytester
) -> None:
    pytester.makeini("[pytest]\nstackctl_scenario = scenario-3b-mysql\n")
    pytester.makepyfile(
        """
        from stackctl.testing import TrackingStack

        def test_fixture(tracking_uri): pass
        def test_the_same(tracking_stack): pass
        def test_context():
            with TrackingStack("scenario-3b-mysql", runtime="embedded"):
                pass
    """
    )
    result = pytester.runpytest_subprocess("-ra", "--showlocals", timeout=120)
    result.assert_outcomes(errors=2, failed=1)
    output = result.stdout.str()
    for name in ("test_fixture", "test_the_same", "test_context"):
        section = re.search(rf"_ (?:ERROR at setup of )?{name} _+\n(.*?)(?=^_+ |^=+ )", output,
                            re.MULTILINE | re.DOTALL)  # fmt: skip
        assert section is not None
        told = section[1]
        assert "service mysql did not become ready: it is restarting" in told
        assert "its last log lines (mysql):" in told
        assert "[ERROR] this server is broken" in told
        assert "IDENTIFIED BY '[redacted]'" in told
        assert not re.search(r"IDENTIFIED BY '(?!\[redacted\]')", told)
        # What happened inside of stackctl is not shown to whoever tests something else.
        assert "stackctl/runtimes" not in told
    # The fixture's stack was tried once.
    assert len(set(data_folders.read_text().splitlines())) == 2
    assert homes(tmp_path) == []
