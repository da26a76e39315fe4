"""Which engine the tests use."""

from dataclasses import dataclass

from filelock import FileLock

from tests.engine.cache import cache_folder
from tests.engine.connection import usual_hosts, version_at
from tests.engine.daemon import Daemon
from tests.engine.packages import install_missing


@dataclass(frozen=True)
class Engine:
    """A Docker Engine that answered; `ours` where it is the tests' throwaway daemon."""

    host: str
    version: str
    ours: bool


def status() -> Engine | None:
    """The engine that answers now, or None. Starts and installs nothing."""
    return _running(Daemon(cache_folder()))


def ensure() -> Engine:
    """An engine that answers, started here if need be.

    An engine that somebody else runs comes first. Ours is shared by every session with the same
    cache folder and outlives them all. Raises EngineUnavailable with a one-line reason.
    """
    daemon = Daemon(cache_folder())
    running = _running(daemon)
    if running is not None:
        return running
    daemon.lock_file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(daemon.lock_file):
        running = _running(daemon)
        if running is None:
            install_missing()
            # Where systemd runs, installing docker.io has started the machine's own engine.
            running = _running(daemon)
        return running or Engine(daemon.host, daemon.start(), ours=True)


def down() -> bool:
    """End our daemon, keeping its images; whether there was one. Others' engines are let be."""
    daemon = Daemon(cache_folder())
    if daemon.pid() is None:
        return False
    with FileLock(daemon.lock_file):
        daemon.stop()
    return True


def _running(daemon: Daemon) -> Engine | None:
    for host in [*usual_hosts(), daemon.host]:
        version = version_at(host)
        if version is not None:
            return Engine(host, version, ours=host == daemon.host)
    return None
