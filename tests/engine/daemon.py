"""The throwaway dockerd: where its files are, how it starts, how it ends."""

import hashlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.engine import process
from tests.engine.connection import version_at
from tests.engine.errors import EngineUnavailable
from tests.engine.packages import SYSTEM_PATH, find_tool

RUN_FOLDER = Path("/run/stackctl-test-engine")
START_SECONDS = 60.0
# How long a live daemon may stay silent before it counts as hung.
SILENCE_SECONDS = 60.0


@dataclass(frozen=True)
class Daemon:
    """The daemon that belongs to one cache folder. Callers of start and stop hold its lock."""

    cache: Path

    @property
    def data_root(self) -> Path:
        """Images and volumes: kept between runs, shared by every checkout with this cache."""
        return self.cache / "engine" / "data"

    @property
    def lock_file(self) -> Path:
        return self.cache / "engine" / "lock"

    @property
    def log_file(self) -> Path:
        return self.cache / "engine" / "dockerd.log"

    @property
    def run_folder(self) -> Path:
        """Sockets and pid files. Short: a Unix socket's path may not exceed 107 bytes."""
        return RUN_FOLDER / hashlib.sha256(os.fsencode(self.cache)).hexdigest()[:12]

    @property
    def exec_root(self) -> Path:
        return self.run_folder / "exec"

    @property
    def pid_file(self) -> Path:
        return self.run_folder / "dockerd.pid"

    @property
    def host(self) -> str:
        return f"unix://{self.run_folder / 'docker.sock'}"

    def pid(self) -> int | None:
        """The pid of the live daemon that serves our data root, or None."""
        pid = process.pid_in(self.pid_file)
        return pid if pid is not None and process.is_ours(pid, *self._marks) else None

    def version(self) -> str | None:
        """The version our daemon answers with, or None."""
        return version_at(self.host)

    def start(self) -> str:
        """Start the daemon, in a session of its own so that it outlives ours; its version.

        A daemon that lives but is silent is ended first. Raises EngineUnavailable.
        """
        if self.pid() is not None:
            version = self._await_answer(None, SILENCE_SECONDS)
            if version is not None:
                return version
            self.stop()
        self._check_machine()
        self._clear_leftovers()
        self._make_folders()
        version = self._await_answer(self._spawn(), START_SECONDS)
        if version is None:
            self.stop()
            raise EngineUnavailable(f"dockerd did not answer in {START_SECONDS:.0f} s")
        return version

    def stop(self) -> None:
        """End our daemon, if it runs. Images and volumes stay."""
        pid = self.pid()
        if pid is not None:
            process.end(pid, *self._marks)
        self._clear_leftovers()

    @property
    def _marks(self) -> tuple[str, str]:
        # NUL ends an argument, so that a data root that merely begins like ours is no match.
        return "dockerd", f"--data-root={self.data_root}\0"

    def _check_machine(self) -> None:
        if sys.platform != "linux":
            raise EngineUnavailable(f"no engine answers and none can be started on {sys.platform}")
        if os.geteuid() != 0:
            raise EngineUnavailable("no engine answers and only root can start one")

    def _clear_leftovers(self) -> None:
        """Remove pid files whose process is not ours: dockerd 20.10 would trust any live pid."""
        if self.pid() is None:
            self.pid_file.unlink(missing_ok=True)
        containerd_pid_file = self.exec_root / "containerd" / "containerd.pid"
        containerd = process.pid_in(containerd_pid_file)
        if containerd is None or not process.is_ours(containerd, "containerd", str(self.exec_root)):
            containerd_pid_file.unlink(missing_ok=True)

    def _make_folders(self) -> None:
        try:
            for folder in (RUN_FOLDER, self.run_folder):
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                folder.chmod(0o700)
            self.data_root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EngineUnavailable(f"no folder for the engine: {error}") from error

    def _spawn(self) -> subprocess.Popen[bytes]:
        dockerd = find_tool("dockerd")
        if dockerd is None:
            raise EngineUnavailable("dockerd is not installed")
        if self.log_file.exists():
            self.log_file.replace(self.log_file.with_suffix(".log.previous"))
        command = [
            dockerd,
            f"--data-root={self.data_root}",
            f"--exec-root={self.exec_root}",
            f"--pidfile={self.pid_file}",
            f"--host={self.host}",
            # Nothing of a daemon.json that was meant for the machine's own engine.
            f"--config-file={self._own_configuration()}",
        ]
        path = f"{os.environ.get('PATH', '')}:{SYSTEM_PATH}"
        with self.log_file.open("wb") as log:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={**os.environ, "PATH": path},
                start_new_session=True,
            )

    def _own_configuration(self) -> Path:
        configuration = self.run_folder / "daemon.json"
        configuration.write_text("{}\n")
        return configuration

    def _await_answer(self, child: subprocess.Popen[bytes] | None, patience: float) -> str | None:
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            version = version_at(self.host, timeout=2)
            if version is not None:
                return version
            if child is not None and child.poll() is not None:
                raise EngineUnavailable(f"dockerd ended at once: {self._last_words()}")
            time.sleep(0.1)
        return None

    def _last_words(self) -> str:
        lines = self.log_file.read_text(errors="replace").strip().splitlines() or ["no output"]
        telling = [line for line in lines if "failed" in line or "level=fatal" in line]
        return (telling or lines)[-1][-400:]
