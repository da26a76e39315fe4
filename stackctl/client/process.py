"""A client of a running stack: a Python that can be one, and programs in it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import psutil

from stackctl.client.environment import client_environment
from stackctl.deployment import Deployment
from stackctl.errors import MissingPackages, UserError
from stackctl.progress import Progress
from stackctl.proof import readiness
from stackctl.versions import MLFLOW, version_tuple

_MARK = "STACKCTL_CLIENT"
_SECONDS_TO_END = 10
_VERSIONS = """
import json, sys
from importlib.metadata import PackageNotFoundError, version
found = {}
for name in sys.argv[1:]:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Client:
    """A Python with the environment of one stack's clients.

    Attributes:
        python: The interpreter.
        mlflow: The version of its mlflow.
        server: The version of the server's.
        environment: For its processes; holds secrets where clients need them.
    """

    python: str
    mlflow: str
    server: str
    environment: Mapping[str, str] = field(repr=False)

    @property
    def age(self) -> str:
        """That the client is older than the server, and how to mend it; "" where it is not."""
        if version_tuple(self.mlflow) >= version_tuple(self.server):
            return ""
        return (
            f"the client is older than the server, mlflow {self.mlflow} beside {self.server}: "
            f"{self.python} -m pip install mlflow=={self.server}"
        )

    def run(
        self,
        words: Sequence[str],
        folder: Path,
        *,
        out: int | None = None,
        err: IO[str] | None = None,
    ) -> int:
        """Run `python words` in `folder` to its end; whatever it started ends with it.

        Returns:
            The exit code; negative where a signal ended it.
        """
        with self.started(words, folder, out=out, err=err) as process:
            return process.wait()

    def started(
        self,
        words: Sequence[str],
        folder: Path,
        *,
        out: int | None = None,
        err: IO[str] | None = None,
    ) -> "Started":
        """Start `python words` in `folder`."""
        mark = uuid.uuid4().hex
        process = subprocess.Popen(
            [self.python, *words],
            cwd=folder,
            env={**self.environment, _MARK: mark},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            text=True,
            # A terminal's Ctrl-C reaches stackctl alone, which passes it on once.
            process_group=0,
        )
        return Started(process, mark)


@dataclass(frozen=True)
class Started:
    """A client's process; leaving its context ends it and whatever it started."""

    process: subprocess.Popen[str]
    mark: str

    def __enter__(self) -> subprocess.Popen[str]:
        return self.process

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(_SECONDS_TO_END)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        # A notebook's kernel and what that serves are in sessions of their own.
        for process in psutil.process_iter():
            try:
                if process.environ().get(_MARK) == self.mark:
                    process.kill()
            except psutil.Error:
                continue
        if self.process.stdout is not None:
            self.process.stdout.close()


def client(
    deployment: Deployment,
    *,
    packages: Sequence[str],
    python: str,
    progress: Progress,
) -> Client:
    """A client of a stack.

    Args:
        deployment: Which; it runs.
        packages: Distributions that the client needs, mlflow among them.
        python: The client's interpreter.
        progress: Told where the client's MLflow is older than the server's.

    Raises:
        MissingPackages: The interpreter lacks one.
        UserError: There is no such interpreter.
    """
    # Programs run in other folders. A link stays one: it is what makes a virtual environment.
    python = str(Path(shutil.which(python) or python).absolute())
    variables = client_environment(deployment)
    wanted = [*packages, *(["boto3"] if "AWS_PROFILE" in variables.values else [])]
    versions = _versions(python, wanted)
    if missing := [name for name in wanted if name not in versions]:
        pins = [f"mlflow=={MLFLOW}" if name == "mlflow" else name for name in missing]
        extra = ["'mlflow-stackctl[examples]'"]
        raise MissingPackages(python, missing, extra if python == sys.executable else pins)
    server = readiness.server_version(deployment) or deployment.stack.require_manifest().mlflow
    # What the caller set for other servers must not lead elsewhere.
    base = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    own = {"MLFLOW_DISABLE_TELEMETRY": "true", "PYTHONUNBUFFERED": "1"}
    found = Client(python, versions["mlflow"], server, {**variables.applied(base), **own})
    if found.age:
        progress(found.age)
    return found


def _versions(python: str, packages: Sequence[str]) -> dict[str, str]:
    try:
        done = subprocess.run(
            [python, "-c", _VERSIONS, *packages],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        if done.returncode == 0:
            return dict(json.loads(done.stdout))
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
    raise UserError(
        f"--python {python}: cannot be run as Python: {reason}",
        hint="name an interpreter, such as .venv/bin/python",
    )
