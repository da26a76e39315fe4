"""The server of both runtimes: what it imports once, it does not import again."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from stackctl import resources
from tests.contract.driving import until

Start = Callable[..., psutil.Popen]


@pytest.fixture
def start(tmp_path: Path, free_port: int) -> Iterator[Start]:
    """Start a server on a SQLite database, and wait until it answers; it is ended afterwards."""
    begun: list[psutil.Popen] = []
    script = resources.folder("templates") / "entrypoints" / "mlflow_server.py"

    def call(workers: int, jobs: str = "false", folder: Path = tmp_path) -> psutil.Popen:
        words = ["server", "--port", str(free_port), "--workers", str(workers)]
        with (tmp_path / "log").open("wb") as log:
            server = psutil.Popen(
                [sys.executable, "-P", str(script), *words],
                cwd=tmp_path, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                env=os.environ | {"MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder}/runs.db",
                                  "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": jobs},
            )  # fmt: skip
        begun.append(server)
        until(lambda: server.poll() is not None or answers(free_port), seconds=60, what="a server")
        return server

    yield call
    for server in begun:
        for process in [*descendants(server), server]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        server.wait()


def answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as response:
            return bool(response.read() == b"OK")
    except OSError:
        return False


def descendants(server: psutil.Popen) -> list[psutil.Process]:
    return list(server.children(recursive=True)) if server.is_running() else []


def test_one_worker_is_the_process_that_imported(start: Start) -> None:
    server = start(1)
    assert descendants(server) == []
    server.send_signal(signal.SIGTERM)
    assert server.wait(60) == 0


def test_workers_are_its_forks_and_a_killed_one_comes_back(start: Start, free_port: int) -> None:
    server = start(2)
    first, second = descendants(server)
    assert first.cmdline() == second.cmdline() == server.cmdline()
    first.kill()
    until(lambda: second in (now := descendants(server)) and len(now) == 2 and first not in now,
          seconds=20, what="another worker")  # fmt: skip
    assert answers(free_port)
    server.send_signal(signal.SIGTERM)
    assert server.wait(60) == 0
    assert not second.is_running()


@pytest.mark.matrix
def test_a_server_that_runs_jobs_is_started_by_mlflow(start: Start) -> None:
    server = start(1, jobs="true")
    assert any("uvicorn" in process.cmdline() for process in descendants(server))


@pytest.mark.matrix
def test_stores_that_cannot_be_made_ready_end_it(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    server = start(2, folder=tmp_path / "file")
    assert server.wait(60) == 1
    assert "Error initializing backend store" in (tmp_path / "log").read_text()
