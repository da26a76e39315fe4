"""The watcher of a test process, and what it does when that is gone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from stackctl.testing.watch import Watch
from tests.contract.driving import until

# Starts a watcher and tells its process; then it waits to be killed.
WATCHED = """
import os, sys, time
from pathlib import Path
from stackctl.testing.watch import Watch
watch = Watch(Path(sys.argv[1]), "x")
print(watch._process.pid, flush=True)
{}
time.sleep(600)
"""
FORKS = "os.fork() and os.kill(os.getpid(), 9)"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "höme of a stack"
    home.mkdir(mode=0o700)
    (home / "a file").touch()
    return home


def watched(home: Path, more: str = "") -> tuple[subprocess.Popen[str], psutil.Process]:
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHED.format(more), str(home)],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    return process, psutil.Process(int(process.stdout.readline()))


def assert_removed(home: Path, watcher: psutil.Process) -> None:
    until(lambda: not home.exists(), seconds=15, what="the home is gone")
    until(lambda: not watcher.is_running() or watcher.status() == psutil.STATUS_ZOMBIE,
          seconds=15, what="the watcher ends")  # fmt: skip


def test_killed_process_leaves_no_home(home: Path) -> None:
    process, watcher = watched(home)
    process.kill()
    process.communicate()
    assert_removed(home, watcher)


def test_ctrl_c_and_an_end_of_the_whole_group_do_not_reach_it(home: Path) -> None:
    process, watcher = watched(home)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        watcher.send_signal(number)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert_removed(home, watcher)


def test_forked_child_that_lives_on_does_not_keep_the_stack(home: Path) -> None:
    process, watcher = watched(home, FORKS)
    try:
        process.wait(timeout=15)
        assert_removed(home, watcher)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_ended_watcher_removes_nothing(home: Path) -> None:
    watch = Watch(home, "x")
    process = psutil.Process(watch._process.pid)
    assert os.getsid(process.pid) == process.pid
    watch.end()
    assert not process.is_running()
    assert (home / "a file").exists()
    assert (home / "watch.log").read_text() == ""


def test_watcher_that_is_gone_already_does_not_matter(home: Path) -> None:
    watch = Watch(home, "x")
    os.kill(watch._process.pid, signal.SIGKILL)
    watch.end()
    assert (home / "a file").exists()
