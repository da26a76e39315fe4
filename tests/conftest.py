"""What every unit test may use: a home of its own, and stackctl as users call it."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from typer.main import get_command

from stackctl.render import Component
from stackctl.runtimes.embedded import components
from stackctl.stack import Home
from tests.snapshots import Texts

pytest_plugins = [
    "tests.lanes",
    "tests.engine.report",
    "tests.engine.fixtures",
    "tests.contract.fixtures",
    "tests.contract.upgrading",
    "tests.daemon",
]


@dataclass(frozen=True)
class Answer:
    """What a command gave back."""

    code: int
    out: str
    err: str


Call = Callable[..., Answer]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """An empty home that is the current folder; nothing of the machine's environment reaches it."""
    for name in list(os.environ):
        if name.startswith(("STACKCTL_", "COMPOSE_", "DOCKER_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return Home(folder)


@pytest.fixture(scope="session")
def program() -> Any:
    """The commands as typer makes them of functions, which takes as long as most of them run."""
    from stackctl.cli import app

    return get_command(app)


@pytest.fixture
def stackctl(
    home: Home,
    program: Any,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Iterator[Call]:
    """Call stackctl's `main` with words, as its console script does."""
    from stackctl.cli import main

    monkeypatch.setattr("stackctl.cli.app", program)

    before = signal.getsignal(signal.SIGTERM)

    def call(*words: str) -> Answer:
        monkeypatch.setattr(sys, "argv", ["stackctl", *words])
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        out, err = capfd.readouterr()
        return Answer(int(end.value.code or 0), out, err)

    yield call
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def stackctl_process(home: Home) -> Call:
    """Call stackctl in a process of its own."""

    def call(*words: str, under: tuple[str, ...] = (), **variables: str) -> Answer:
        done = subprocess.run(
            [*under, sys.executable, "-m", "stackctl", *words],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=home.path,
            env=os.environ | variables,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """Snapshots are plain files."""
    return snapshot.use_extension(Texts)


@pytest.fixture
def no_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which the embedded runtime was not installed."""
    missing = Component("mlflow", missing="there is no mlflow", mend="install it")
    monkeypatch.setattr(components, "find_all", lambda: {"mlflow": missing})


@pytest.fixture(scope="session")
def without_privileges() -> tuple[str, ...]:
    """The words before a command that make file modes hold for it, as they do not for root."""
    if os.geteuid() != 0:
        return ()
    return ("setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--")


@pytest.fixture
def free_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
