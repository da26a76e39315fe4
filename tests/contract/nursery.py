"""Programs of a test session: processes that have imported what they need, and forks of them.

Most of a short program's time is what it imports: `stackctl` takes a third of a second for it, and
`import mlflow` four. Each is a process of its own all the same, with the environment that a user's
shell would have.
"""

import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from stackctl.runtimes.embedded import linux

_MODULE = "-m"
# More than any job takes.
_MESSAGE = 1 << 20
# What programs of these packages of stackctl's are run with is not on this machine's side.
_ELSEWHERE = ("stackctl.courier", "stackctl.testing")


class Child:
    """One program's process, as `subprocess.Popen` would tell of it."""

    def __init__(self, pid: int, ended: int) -> None:
        self.pid, self._ended = pid, ended
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._look(0)

    def wait(self, timeout: float) -> int:
        """Its exit code, once it has ended; it is killed where that takes longer.

        Raises:
            TimeoutExpired: It did.
        """
        if (code := self._look(timeout)) is None:
            self.kill()
            raise subprocess.TimeoutExpired("a program of a test", timeout)
        return code

    def kill(self) -> None:
        """End it as a crash does."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)

    def _look(self, timeout: float) -> int | None:
        if self.returncode is None and select.select([self._ended], [], [], timeout)[0]:
            # Nothing where all were ended at once.
            self.returncode = int(os.read(self._ended, 16) or -signal.SIGKILL)
            os.close(self._ended)
        return self.returncode


class Client(Child):
    """One whose output goes to a file."""

    def __init__(self, child: Child, output: Path) -> None:
        super().__init__(child.pid, child._ended)
        self._output = output

    def communicate(self, timeout: float) -> tuple[str, None]:
        """What it printed, once it has ended."""
        try:
            self.wait(timeout)
        except subprocess.TimeoutExpired as error:
            error.output = self._output.read_text()
            raise
        return self._output.read_text(), None


class Nursery:
    """The process that programs are forks of; it ends with this one."""

    def __init__(self, kind: str) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, kind, str(theirs.fileno())],
                stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()],
            )  # fmt: skip

    def start(
        self, words: Sequence[str], environment: Mapping[str, str], folder: Path, out: int, err: int
    ) -> Child:
        """Start a Python program.

        Args:
            words: Its path, or `-m` and its module; and its arguments.
            environment: All of its variables.
            folder: Where it runs.
            out: The open file that gets what it prints.
            err: The one that gets what it tells.
        """
        job = {"words": list(words), "environment": dict(environment), "folder": str(folder)}
        reading, writing = os.pipe()
        try:
            socket.send_fds(self._socket, [json.dumps(job).encode()], [out, err, writing])
        finally:
            os.close(writing)
        return Child(int(self._socket.recv(16)), reading)


@cache
def nursery(kind: str) -> Nursery:
    """The one of this process for `clients`, or for `commands` of stackctl."""
    return Nursery(kind)


def run(
    words: Sequence[str], environment: Mapping[str, str], folder: Path, timeout: float
) -> subprocess.CompletedProcess[str]:
    """A command of stackctl to its end, as `subprocess.run` would run it.

    Raises:
        TimeoutExpired: It was killed after `timeout` seconds.
    """
    (out, out_end), (err, err_end) = os.pipe(), os.pipe()
    try:
        child = nursery("commands").start(
            [_MODULE, "stackctl", *words], environment, folder, out_end, err_end
        )
    finally:
        os.close(out_end)
        os.close(err_end)
    told = {out: b"", err: b""}
    left, end = {out, err}, time.monotonic() + timeout
    # As with `subprocess`: whoever inherits the pipes and lives on is waited for.
    while left:
        ready = select.select(list(left), [], [], max(0, end - time.monotonic()))[0]
        if not ready:
            child.kill()
            raise subprocess.TimeoutExpired(list(words), timeout, told[out], told[err])
        for pipe in ready:
            if piece := os.read(pipe, 1 << 16):
                told[pipe] += piece
            else:
                left.remove(pipe)
                os.close(pipe)
    code = child.wait(max(1, end - time.monotonic()))
    texts = (told[pipe].decode().replace("\r\n", "\n") for pipe in (out, err))
    return subprocess.CompletedProcess(list(words), code, *texts)


def _clients() -> None:
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    import boto3  # noqa: F401 - what clients would import otherwise
    import mlflow.pyfunc
    import mlflow.store.artifact.artifact_repository_registry
    import mlflow.store.model_registry.sqlalchemy_store
    import mlflow.store.tracking.sqlalchemy_store
    import mlflow.tracking  # noqa: F401
    import requests  # noqa: F401


def _commands() -> None:
    import botocore.session  # noqa: F401 - what a deploy would import otherwise
    import docker  # noqa: F401

    import stackctl.cli

    for module in pkgutil.walk_packages(stackctl.__path__, "stackctl."):
        if not module.name.startswith(_ELSEWHERE) and not module.name.endswith("__main__"):
            importlib.import_module(module.name)


_KINDS: Mapping[str, Callable[[], None]] = {"clients": _clients, "commands": _commands}


def main() -> None:
    """Fork a program for each message that comes in."""
    _KINDS[sys.argv[1]]()
    gc.freeze()
    with socket.socket(fileno=int(sys.argv[2])) as jobs:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody here waits for them
        while True:
            message, files, _, _ = socket.recv_fds(jobs, _MESSAGE, 3)
            if not message:
                return
            if os.fork() == 0:
                out, err, ended = files
                _watch(json.loads(message), out, err, ended, jobs)
            for file in files:
                os.close(file)


def _watch(job: dict[str, object], out: int, err: int, ended: int, jobs: socket.socket) -> None:
    """A process that tells how the program ended, which is a fork of it; all end together."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    linux.die_with(os.getppid(), signal.SIGKILL)
    guard, program = os.getpid(), os.fork()
    if program == 0:
        linux.die_with(guard, signal.SIGKILL)
        os.close(ended)
        jobs.close()
        _become(job, out, err)
    os.close(out)
    os.close(err)
    jobs.send(str(program).encode())
    _, status = os.waitpid(program, 0)
    os.write(ended, str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(job: dict[str, object], out: int, err: int) -> None:
    for handle, source in ((1, out), (2, err)):
        os.dup2(source, handle)
        os.close(source)
    words, environment, folder = job["words"], job["environment"], str(job["folder"])
    assert isinstance(words, list)
    assert isinstance(environment, dict)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    code = 0
    try:
        if words[0] == _MODULE:
            sys.argv, sys.path[0] = words[1:], folder
            runpy.run_module(words[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv, sys.path[0] = words, str(Path(words[0]).parent)
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # as Python itself ends
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
