"""Clients of a test session: one process that has imported mlflow, and a fork of it for each.

A client's program takes two seconds, and `import mlflow` before it twice as long. Each client is a
process of its own all the same, with the environment that a user's shell would have.
"""

import json
import os
import runpy
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from stackctl.runtimes.embedded import linux


@dataclass
class Client:
    """One client's process, as `subprocess.Popen` would tell of it."""

    pid: int
    output: Path
    _ended: Path
    returncode: int | None = field(default=None, init=False)

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        if self.returncode is None and self._ended.exists():
            self.returncode = int(self._ended.read_text())
        return self.returncode

    def communicate(self, timeout: float) -> tuple[str, None]:
        """What it printed, once it has ended."""
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                self.kill()
                raise subprocess.TimeoutExpired("client", timeout, self.output.read_text())
            time.sleep(0.02)
        return self.output.read_text(), None

    def kill(self) -> None:
        """End it as a crash does."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)


class Nursery:
    """The process that clients are forks of; it ends with this one."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def start(
        self, words: Sequence[str], environment: Mapping[str, str], folder: Path, output: Path
    ) -> Client:
        """Start a Python program.

        Args:
            words: Its path and arguments.
            environment: All of its variables.
            folder: Where it runs.
            output: The file that gets what it prints.
        """
        ended = output.with_suffix(".ended")
        ended.unlink(missing_ok=True)
        job = {"words": list(words), "environment": dict(environment), "folder": str(folder),
               "output": str(output), "ended": str(ended)}  # fmt: skip
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{json.dumps(job)}\n")
        self._process.stdin.flush()
        return Client(int(self._process.stdout.readline()), output, ended)


@cache
def nursery() -> Nursery:
    """The one of this process."""
    return Nursery()


def main() -> None:
    """Fork a client for each line that comes in."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    import boto3  # noqa: F401 - what clients would import otherwise
    import mlflow.pyfunc
    import mlflow.store.artifact.artifact_repository_registry
    import mlflow.store.model_registry.sqlalchemy_store
    import mlflow.store.tracking.sqlalchemy_store
    import mlflow.tracking  # noqa: F401
    import requests  # noqa: F401

    # Read unbuffered: a fork must not find lines in a buffer that are its parent's.
    answers = os.dup(1)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody here waits for them
    while line := _line():
        job = json.loads(line)
        if os.fork() == 0:
            _watch(job, answers)


def _line() -> bytes:
    found = b""
    while not found.endswith(b"\n") and (byte := os.read(0, 1)):
        found += byte
    return found


def _watch(job: dict[str, object], answers: int) -> None:
    """A process that tells how the client ended, which is a fork of it; all end together."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    linux.die_with(os.getppid(), signal.SIGKILL)
    guard, client = os.getpid(), os.fork()
    if client == 0:
        linux.die_with(guard, signal.SIGKILL)
        _become(job)
    os.write(answers, f"{client}\n".encode())
    _, status = os.waitpid(client, 0)
    fresh = Path(f"{job['ended']}.new")
    fresh.write_text(str(os.waitstatus_to_exitcode(status)))
    fresh.replace(str(job["ended"]))
    os._exit(0)


def _become(job: dict[str, object]) -> None:
    out = os.open(str(job["output"]), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for handle, source in ((0, nothing), (1, out), (2, out)):
        os.dup2(source, handle)
    words = job["words"]
    assert isinstance(words, list)
    os.environ.clear()
    environment = job["environment"]
    assert isinstance(environment, dict)
    os.environ.update(environment)
    os.chdir(str(job["folder"]))
    sys.argv = words
    sys.path[0] = str(Path(words[0]).parent)
    code = 0
    try:
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
