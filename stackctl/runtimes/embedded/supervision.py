"""One stack's keeper and supervisord, seen from outside: started, asked, stopped.

supervisord and its XML-RPC interface are supervisor's own; the keeper and the guards around it are
`stackctl.runtimes.embedded.keeper` and `guard`.
"""

import fcntl
import http.client
import os
import signal
import site
import socket
import struct
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stackctl.errors import MachineError
from stackctl.pace import Patience
from stackctl.runtimes.embedded import keeper

_ANSWER_SECONDS = 10
_LAUNCH_SECONDS = 30.0
_STOP_SECONDS = 200.0
_POLL_SECONDS = 0.05
_LINES = 10
# supervisor.xmlrpc.Faults, without the package: where Docker is used it need not be there.
_ALREADY_STARTED, _NOT_RUNNING = 60, 70
# struct flock of Linux on 64 bits: type, whence, start, length, process.
_FLOCK = "@hhqqi"


class Unanswered(MachineError):
    """supervisord does not answer."""


@dataclass(frozen=True)
class Supervision:
    """The keeper and supervisord of one stack.

    Attributes:
        run: The stack's folder `run`.
        logs: The folder of its logs.
    """

    run: Path
    logs: Path

    def keeper(self) -> int | None:
        """The process id of the keeper; None where none lives.

        The kernel tells who holds the lock: never a process that merely got the same number.
        """
        try:
            handle = os.open(self.run / keeper.LOCK, os.O_RDONLY)
        except FileNotFoundError:
            return None
        try:
            asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
            kind, _, _, _, holder = struct.unpack(_FLOCK, fcntl.fcntl(handle, fcntl.F_GETLK, asked))
        finally:
            os.close(handle)
        return None if kind == fcntl.F_UNLCK else int(holder)

    def launch(self) -> None:
        """Start the keeper, detached from terminal and session; returns when supervisord answers.

        Raises:
            MachineError: It did not come up.
        """
        if self.keeper() is None:
            self._wait_until_idle()
        for folder in (self.run, self.logs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        log = os.open(self.logs / "keeper.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "stackctl.runtimes.embedded.keeper"],
                cwd=self.run, env=_environment(), start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        finally:
            os.close(log)
        patience = Patience(_LAUNCH_SECONDS)
        while True:
            with suppress(Unanswered):
                self.processes()
                return
            if process.poll() is not None or patience.is_over():
                last = (self.logs / "keeper.log").read_text(encoding="utf-8", errors="replace")
                raise MachineError(
                    "supervisord did not start",
                    hint=f"what it said last is below; see also {self.logs / 'supervisord.log'}",
                    details="\n".join(f"  {line}" for line in last.splitlines()[-_LINES:]),
                )
            time.sleep(_POLL_SECONDS)

    def processes(self) -> dict[str, dict[str, Any]]:
        """What supervisord tells of each process, by name.

        Raises:
            Unanswered: It does not answer.
        """
        with self._called() as supervisor:
            return {str(info["name"]): info for info in supervisor.getAllProcessInfo()}

    def update(self) -> None:
        """Have supervisord read its configuration anew: what is new starts, what is gone stops."""
        with self._called(_STOP_SECONDS) as supervisor:
            ((added, changed, removed),) = supervisor.reloadConfig()
            for name in (*changed, *removed):
                supervisor.stopProcessGroup(name)
                supervisor.removeProcessGroup(name)
            for name in (*added, *changed):
                supervisor.addProcessGroup(name)

    def stop_processes(self, names: list[str]) -> None:
        """Stop some processes side by side, and wait until all have ended.

        Raises:
            Unanswered: supervisord does not answer, or a process does not end.
        """
        patience = Patience(_STOP_SECONDS)
        with self._called() as supervisor:
            for name in names:
                with _expected(_NOT_RUNNING):
                    supervisor.stopProcess(name, False)
            while any(supervisor.getProcessInfo(name)["pid"] for name in names):
                if patience.is_over():
                    raise Unanswered(f"{', '.join(names)} do not end", hint=f"see {self.logs}")
                time.sleep(_POLL_SECONDS)

    def start_processes(self, names: list[str]) -> None:
        """Start some processes, and do not wait for them."""
        with self._called() as supervisor:
            for name in names:
                with _expected(_ALREADY_STARTED):
                    supervisor.startProcess(name, False)

    def stop(self, *waves: list[str]) -> None:
        """Stop everything; returns when nothing is left.

        Args:
            waves: Processes that end side by side, each wave before the next. Without them
                supervisord ends one after the other.

        Raises:
            MachineError: Something would not end.
        """
        patience = Patience(_STOP_SECONDS)
        if self.keeper() is not None:
            with suppress(Unanswered):
                for wave in waves:
                    self.stop_processes(wave)
            with suppress(Unanswered), self._called() as supervisor:
                supervisor.shutdown()
        answer: Patience | None = Patience(_ANSWER_SECONDS)
        while (holder := self.keeper()) is not None:
            if patience.is_over():
                raise MachineError(
                    f"the stack's supervisor (process {holder}) does not end",
                    hint=f"see {self.logs / 'supervisord.log'}",
                )
            # A holder in another name space of processes has no number here.
            if holder > 0 and answer is not None and answer.is_over():
                # It holds the lock at this moment, so it is the keeper and no stranger.
                os.kill(holder, signal.SIGTERM)
                answer = None
            time.sleep(_POLL_SECONDS)
        self._wait_until_idle()

    def _wait_until_idle(self) -> None:
        """Wait for what a keeper that was killed has left: it is ending."""
        patience = Patience(_STOP_SECONDS)
        while left := self._left():
            if patience.is_over():
                raise MachineError(
                    f"{', '.join(left)} of an earlier start does not end", hint=f"see {self.logs}"
                )
            time.sleep(_POLL_SECONDS)

    def _left(self) -> list[str]:
        """What runs though no keeper does: whose lock is held."""
        found = []
        for path in sorted(self.run.glob("*.lock")):
            if path.name == keeper.LOCK:
                continue
            with suppress(FileNotFoundError), path.open("rb") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                except BlockingIOError:
                    found.append(path.stem)
        return found

    @contextmanager
    def _called(self, seconds: float = _ANSWER_SECONDS) -> Iterator[Any]:
        try:
            folder = os.open(self.run, os.O_PATH | os.O_DIRECTORY)
        except OSError as error:
            raise Unanswered(f"{self.run} cannot be read: {error.strerror}") from error
        try:
            # By way of the folder's handle: a path of any length fits into a socket's address.
            transport = _Transport(f"/proc/self/fd/{folder}/supervisor.sock", seconds)
            with closing(transport):
                yield xmlrpc.client.ServerProxy("http://localhost", transport=transport).supervisor
        except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
            raise Unanswered(
                f"supervisord does not answer: {error}", hint=f"see {self.logs}"
            ) from error
        finally:
            os.close(folder)


@contextmanager
def _expected(code: int) -> Iterator[None]:
    """A process that is already as it was to become, which supervisord calls a fault."""
    try:
        yield
    except xmlrpc.client.Fault as fault:
        if fault.faultCode != code:
            raise


class _Transport(xmlrpc.client.Transport):
    """XML-RPC over a Unix socket, with an end to patience."""

    def __init__(self, path: str, seconds: float) -> None:
        super().__init__()
        self._path, self._seconds = path, seconds

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        return _Connection(self._path, self._seconds)


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _environment() -> dict[str, str]:
    """What the keeper and supervisord get; services get what their descriptions say."""
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "STACKCTL_PYTHON": sys.executable,
        # Of `pip install --user`, which Python would look for below another HOME.
        "PYTHONUSERBASE": site.getuserbase(),
    }
