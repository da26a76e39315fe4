"""What a login costs a call: the same calls of a user at a stack with a login and one without.

On the embedded runtime, scenario-3b, one worker each, asked in turn on kept-alive connections.
"""

import base64
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from stackctl.stack import Home

CALLS, PASSWORD = 300, "a password of ada's"
STACKS = {"without": (5991, "none"), "with": (5992, "basic")}
Call = tuple[str, str, object]


class Server:
    """One of the two, and a run in it."""

    def __init__(self, port: int, headers: dict[str, str]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._headers = {**headers, "Content-Type": "application/json"}
        made = self.ask("POST", "runs/create", {"experiment_id": "0"})
        self.run = made["run"]["info"]["run_id"]

    def ask(
        self, method: str, path: str, body: object = None
    ) -> dict[str, dict[str, dict[str, str]]]:
        """What it answers."""
        content = None if body is None else json.dumps(body)
        self._connection.request(method, f"/api/2.0/mlflow/{path}", content, self._headers)
        answer = self._connection.getresponse()
        text = answer.read()
        assert answer.status == 200, text
        return dict(json.loads(text))


OPERATIONS: dict[str, Callable[[str, int], Call]] = {
    "experiments/get": lambda _, __: ("GET", "experiments/get?experiment_id=0", None),
    "runs/get": lambda run, _: ("GET", f"runs/get?run_id={run}", None),
    "runs/search": lambda _, __: ("POST", "runs/search", {"experiment_ids": ["0"]}),
    "runs/log-metric": lambda run, step: (
        "POST", "runs/log-metric",
        {"run_id": run, "key": "m", "value": 1, "timestamp": step, "step": step},
    ),
}  # fmt: skip


def main() -> None:
    """Print the median of each call, and the ratio: 1 is a login that costs nothing."""
    with tempfile.TemporaryDirectory() as folder:
        stackctl = [sys.executable, "-m", "stackctl", "--home", folder]

        def do(*words: str) -> None:
            subprocess.run([*stackctl, *words], check=True, capture_output=True)

        try:
            for name, (port, auth) in STACKS.items():
                do("deploy", "scenario-3b", "--name", name, "--port", str(port),
                   "--runtime", "embedded", "--set", f"auth={auth}", "--set", "workers=1"
                   )  # fmt: skip
            secret = Path(folder) / "password"
            secret.write_text(PASSWORD)
            do("users", "add", "ada", "--password-file", str(secret), "--stack", "with")
            do("grant", "ada", "EDIT", "experiment", "Default", "--stack", "with")
            measure()
        finally:
            for name in STACKS:
                if Home(Path(folder)).stack(name).folder.exists():
                    do("remove", name, "--volumes", "--confirm", name)


def measure() -> None:
    """At both, in turn."""
    token = base64.b64encode(f"ada:{PASSWORD}".encode()).decode()
    entered = {"without": {}, "with": {"Authorization": f"Basic {token}"}}
    servers = {name: Server(port, entered[name]) for name, (port, _) in STACKS.items()}
    for what, operation in OPERATIONS.items():
        took: dict[str, list[float]] = {name: [] for name in servers}
        for step in range(CALLS):
            for name, server in servers.items():
                begin = time.perf_counter()
                server.ask(*operation(server.run, step))
                took[name].append(time.perf_counter() - begin)
        medians = {name: statistics.median(found) * 1000 for name, found in took.items()}
        told = "  ".join(f"{name} {found:5.1f} ms" for name, found in medians.items())
        print(f"{what:16} {told}  ratio {medians['without'] / medians['with']:.2f}")


if __name__ == "__main__":
    main()
