"""Driving stackctl as a user does: by its command line, in a process of its own."""

import json
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from stackctl import scenarios
from stackctl.pace import Patience
from stackctl.stack import Home, Stack
from tests.contract import nursery

T = TypeVar("T")
CLIENT = Path(__file__).with_name("client.py")
COMMAND = (sys.executable, "-m", "stackctl")
# Where the number of workers proves nothing.
ONE_WORKER = ("--set", "workers=1")


@dataclass
class User:
    """Somebody with a home folder and a runtime.

    Attributes:
        home: The folder from which stacks are deployed.
        variables: Of the environment, such as those that name the runtime.
        prefix: Words before every command, such as those that change the user.
    """

    home: Path
    variables: Mapping[str, str]
    prefix: tuple[str, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("STACKCTL_", "MLFLOW_"))}
        return {**kept, "STACKCTL_HOME": str(self.home), **self.variables}

    def having(self, variables: Mapping[str, str]) -> "User":
        """The same user in the same home, with more in the environment."""
        return replace(self, variables={**self.variables, **variables})

    def stack(self, name: str) -> Stack:
        """A stack of the user's home."""
        return Home(self.home).stack(name)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command and do not wait for it.

        Ctrl-C reaches it even where these tests run in the background of a shell, whose jobs
        ignore it.
        """
        return subprocess.Popen(
            [*self.prefix, *COMMAND, *words],
            env=self.environment, cwd=self.home, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        if not self.prefix:
            return nursery.run(words, self.environment, self.home, timeout=600)
        # Another user, or a process elsewhere, which cannot be a fork of one that is here.
        return subprocess.run(
            [*self.prefix, *COMMAND, *words],
            env=self.environment, cwd=self.home, text=True, check=False,
            capture_output=True, stdin=subprocess.DEVNULL, timeout=600,
        )  # fmt: skip

    def ok(self, *words: str) -> str:
        """Run a command that must end well; returns its standard output."""
        done = self.run(*words)
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def client(self, what: str, stack: str, program: Path = CLIENT) -> None:
        """Run the MLflow client in a shell that evaluated `stackctl env`."""
        done = self.start_client(what, stack, program=program)
        output, _ = done.communicate(timeout=300)
        assert done.returncode == 0, f"client {what}: {output[-3000:]}"

    def start_client(
        self, what: str, stack: str, state: Path | None = None, program: Path = CLIENT
    ) -> nursery.Client | subprocess.Popen[str]:
        """Start it and do not wait."""
        folder = self.home / "client"
        folder.mkdir(exist_ok=True)
        words = [str(program), what, str(state or self.state(stack))]
        environment = {**self.environment, "CLIENT_TMP": str(folder),
                       "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
                       "MLFLOW_DISABLE_TELEMETRY": "true"}  # fmt: skip
        # By way of a shell, as a user has it.
        if self.prefix:
            stackctl = shlex.join([*self.prefix, *COMMAND])
            evaluated = f'eval "$({stackctl} env {stack})"; exec "$@"'
            return subprocess.Popen(
                ["bash", "-euc", evaluated, "bash", *self.prefix, sys.executable, *words],
                env=environment, cwd=folder, text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
        done = subprocess.run(
            ["bash", "-euc", 'eval "$1"; exec env -0', "bash", self.ok("env", stack)],
            env=environment, cwd=folder, text=True, capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found = dict(pair.split("=", 1) for pair in done.stdout.split("\0") if pair)
        output = folder / f"{what}-{secrets.token_hex(4)}.txt"
        with output.open("w") as file:
            handle = file.fileno()
            child = nursery.nursery("clients").start(words, found, folder, handle, handle)
        return nursery.Client(child, output)

    def state(self, stack: str) -> Path:
        """Where the client keeps what it did."""
        return self.home / "client" / f"{stack}.json"

    def show(self, stack: str) -> dict[str, Any]:
        """What `show --json` tells."""
        return dict(json.loads(self.ok("show", stack, "--json")))


@dataclass(frozen=True)
class Deployed:
    """One deployed stack, and the words that deployed it."""

    user: User
    words: tuple[str, ...]

    @property
    def scenario(self) -> str:
        return self.words[1]

    @property
    def name(self) -> str:
        return self.words[3]

    @property
    def stack(self) -> Stack:
        return self.user.stack(self.name)

    def deploy(self, *more: str) -> str:
        """Deploy it again; returns what was told."""
        done = self.user.run(*self.words, *more)
        assert done.returncode == 0, done.stderr
        return done.stderr

    def state(self) -> str:
        return str(self.user.show(self.name)["state"])

    @contextmanager
    def under_a_client(self) -> Iterator[Callable[[], int]]:
        """While a client logs; gives how many of its values the server acknowledged so far.

        At the end none of them may be lost. The client asks again at once where the server does
        not answer, instead of waiting twice as long each time.
        """
        client_of = self.user.having({"MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "0"})
        state = self.user.state(f"{self.name}-log")
        for path in (state, state.with_suffix(".stop")):
            path.unlink(missing_ok=True)
        client = client_of.start_client("log", self.name, state)

        def acknowledged() -> int:
            return len(json.loads(state.read_text())["acknowledged"]) if state.exists() else 0

        try:
            until(lambda: acknowledged() >= 10, seconds=60, what="the client logs")
            yield acknowledged
        finally:
            state.with_suffix(".stop").touch()
            output, _ = client.communicate(timeout=120)
        assert client.returncode == 0, output[-3000:]


def free_port() -> int:
    """A port on which nobody listens now, and which nobody else is about to take.

    Below those that stacks choose themselves and those that the kernel gives to connections, and
    for each worker of pytest-xdist another range.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = 5200 + 1000 * (worker % 5) + secrets.randbelow(1000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def words(scenario_name: str, name: str, *more: str) -> list[str]:
    """The words of a deploy on free ports; the first port is the sixth word."""
    chosen = ["deploy", scenario_name, "--name", name, "--port", str(free_port())]
    for key in scenarios.load(scenario_name).settings:
        if key.endswith("_port"):
            chosen += ["--set", f"{key}={free_port()}"]
    return [*chosen, *more]


def until(found: Callable[[], T], *, seconds: float, what: str) -> T:
    """The first true value of `found`, asked again and again.

    Fails after `seconds` of a machine that is not slow.
    """
    patience = Patience(seconds)
    while True:
        if value := found():
            return value
        assert not patience.is_over(), f"not within {seconds} s: {what}"
        # To look is work too, with what it looks at.
        time.sleep(0.2)
