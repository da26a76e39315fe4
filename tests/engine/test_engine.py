"""The throwaway engine: found, started, shared, restarted, and never a danger to strangers."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from tests.engine import Engine, EngineUnavailable, ensure
from tests.engine import daemon as daemon_module
from tests.engine import engine as engine_module
from tests.engine.cache import cache_folder
from tests.engine.connection import version_at
from tests.engine.daemon import Daemon
from tests.engine.packages import find_tool, install_missing
from tests.engine.process import is_ours
from tests.engine.report import NO_ENGINE
from tests.engine.waiting import wait_until

# A second daemon would flush the firewall rules of the first and share its bridge (and with
# `--bridge=none` even delete it), so it gets a network of its own. Mounts of its own, too: one
# that is killed leaves none behind. unshare becomes dockerd, so the pid is dockerd's.
WRAPPER = """#!/bin/sh
echo started >> "$0.log"
exec unshare --net --mount {dockerd} "$@"
"""


@pytest.fixture
def dockerd() -> None:
    """The program dockerd, installed now where it is missing: not when tests are collected."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("starting a daemon takes root on Linux")
    try:
        install_missing()
    except EngineUnavailable as unavailable:
        pytest.skip(f"{NO_ENGINE}: {unavailable.reason}")


needs_dockerd = pytest.mark.usefixtures("dockerd")


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    """A process that has nothing to do with us."""
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def daemon(dockerd: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """A daemon of this test's own, not started yet; it is ended and cleared away after."""
    # pytest's folders are too deep for the socket of containerd.
    with tempfile.TemporaryDirectory(prefix="se-") as run_folder:
        monkeypatch.setattr(daemon_module, "RUN_FOLDER", Path(run_folder))
        wrapper = tmp_path / "dockerd"
        wrapper.write_text(WRAPPER.format(dockerd=find_tool("dockerd")))
        wrapper.chmod(0o755)
        monkeypatch.setattr(daemon_module, "find_tool", lambda name: str(wrapper))
        daemon = Daemon(tmp_path / "cache")
        daemon.run_folder.mkdir()
        daemon.data_root.mkdir(parents=True)
        yield daemon
        daemon.stop()


@pytest.fixture
def only_ours(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Daemon:
    """`ensure` sees no engine but this test's daemon."""
    monkeypatch.setattr(engine_module, "cache_folder", lambda: daemon.cache)
    monkeypatch.setattr(engine_module, "usual_hosts", list)
    return daemon


def test_engine_answers(engine: Engine) -> None:
    assert version_at(engine.host) == engine.version


def test_second_ensure_finds_the_same_daemon(engine: Engine) -> None:
    before = Daemon(cache_folder()).pid()
    assert ensure() == engine
    assert Daemon(cache_folder()).pid() == before
    assert (before is not None) == engine.ours


def test_engine_of_somebody_else_comes_first(
    engine: Engine, only_ours: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "usual_hosts", lambda: [engine.host])
    assert ensure() == Engine(engine.host, engine.version, ours=False)
    assert only_ours.pid() is None


def test_socket_path_is_short_whatever_the_cache_is(tmp_path: Path) -> None:
    deep = Daemon(tmp_path / ("long" * 50) / "cache")
    assert len(deep.host.removeprefix("unix://")) < 100
    assert deep.host != Daemon(tmp_path).host


def test_pid_of_a_stranger_is_never_signalled(
    daemon: Daemon, stranger: subprocess.Popen[bytes]
) -> None:
    daemon.pid_file.write_text(str(stranger.pid))
    assert daemon.pid() is None
    daemon.stop()
    assert stranger.poll() is None
    assert not daemon.pid_file.exists()


def test_daemon_of_another_cache_is_a_stranger(daemon: Daemon) -> None:
    code = "import time; time.sleep(600)"
    # A data root that only begins like ours, and one that merely contains ours.
    for data_root in (f"{daemon.data_root}-2", f"/x{daemon.data_root}"):
        arguments = [sys.executable, "-c", code, "dockerd", f"--data-root={data_root}"]
        other = subprocess.Popen(arguments)
        try:
            daemon.pid_file.write_text(str(other.pid))
            wait_until(partial(is_ours, other.pid, "dockerd"), "its command line")
            assert daemon.pid() is None
        finally:
            other.kill()
            other.wait()


def test_zombie_does_not_count_as_alive(daemon: Daemon) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", "", "dockerd", f"--data-root={daemon.data_root}"]
    )
    daemon.pid_file.write_text(str(child.pid))
    wait_until(lambda: daemon.pid() is None, "the child to end")
    assert child.wait() == 0


def test_without_root_the_reason_is_one_line(
    only_ours: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(EngineUnavailable) as refusal:
        ensure()
    assert "root" in refusal.value.reason
    assert "\n" not in refusal.value.reason


@needs_dockerd
def test_sessions_that_start_at_once_share_one_daemon(only_ours: Daemon, tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        engines = set(pool.map(lambda _: ensure(), range(4)))
    assert len(engines) == 1
    assert (tmp_path / "dockerd.log").read_text() == "started\n"
    assert _daemons_with(only_ours.data_root) == [only_ours.pid()]


@needs_dockerd
def test_killed_daemon_is_started_again(
    only_ours: Daemon, stranger: subprocess.Popen[bytes]
) -> None:
    ensure()
    first = only_ours.pid()
    assert first is not None
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: only_ours.pid() is None, "the daemon to be gone")
    # The machine gave both numbers to others meanwhile.
    only_ours.pid_file.write_text(str(stranger.pid))
    engine = ensure()
    assert engine.ours
    assert version_at(engine.host) == engine.version
    assert only_ours.pid() not in (None, first)
    assert stranger.poll() is None


@needs_dockerd
def test_stale_pid_file_of_containerd_is_no_obstacle(
    only_ours: Daemon, stranger: subprocess.Popen[bytes]
) -> None:
    pid_file = only_ours.exec_root / "containerd" / "containerd.pid"
    pid_file.parent.mkdir(parents=True)
    pid_file.write_text(str(stranger.pid))
    assert ensure().ours
    assert stranger.poll() is None


@needs_dockerd
def test_daemon_has_a_session_of_its_own(only_ours: Daemon) -> None:
    ensure()
    pid = only_ours.pid()
    assert pid is not None
    assert os.getsid(pid) == pid
    for descriptor in (0, 1, 2):
        target = Path(f"/proc/{pid}/fd/{descriptor}").readlink()
        assert target in (Path("/dev/null"), only_ours.log_file)


@needs_dockerd
def test_down_ends_the_daemon_and_keeps_its_data(only_ours: Daemon) -> None:
    ensure()
    assert engine_module.down() is True
    assert only_ours.pid() is None
    assert version_at(only_ours.host) is None
    assert any(only_ours.data_root.iterdir())
    assert engine_module.down() is False


@needs_dockerd
def test_daemon_that_cannot_start_says_why(only_ours: Daemon) -> None:
    only_ours.data_root.rmdir()
    only_ours.data_root.write_text("not a folder")
    with pytest.raises(EngineUnavailable) as refusal:
        ensure()
    assert str(only_ours.data_root) in refusal.value.reason


def test_waiting_ends_at_its_deadline() -> None:
    began = time.monotonic()
    with pytest.raises(AssertionError, match="a miracle"):
        wait_until(lambda: False, "a miracle", seconds=0.3)
    assert time.monotonic() - began < 5


def _daemons_with(data_root: Path) -> list[int]:
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if is_ours(pid, "dockerd", f"--data-root={data_root}\0")]
