"""Kept-alive requests to a server with two workers beside one with a single worker.

Without uvloop each request to one of several workers waits some 40 ms, because accepted sockets
lack TCP_NODELAY; with it the ratio is near 1.
"""

import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import time

ROUNDS = 200


def median_ms(port: int, run_id: str) -> float:
    """Median milliseconds of `log-metric` over one connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    found = []
    for step in range(ROUNDS):
        body = json.dumps({"run_id": run_id, "key": "m", "value": 1, "timestamp": 1, "step": step})
        start = time.monotonic()
        connection.request(
            "POST", "/api/2.0/mlflow/runs/log-metric", body, {"Content-Type": "application/json"}
        )
        connection.getresponse().read()
        found.append(time.monotonic() - start)
    return statistics.median(found) * 1000


def new_run(port: int) -> str:
    """The id of a run in the Default experiment."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request(
        "POST", "/api/2.0/mlflow/runs/create", json.dumps({"experiment_id": "0"}),
        {"Content-Type": "application/json"},
    )  # fmt: skip
    return str(json.load(connection.getresponse())["run"]["info"]["run_id"])


def main() -> None:
    """Print both medians and their ratio."""
    medians = []
    with tempfile.TemporaryDirectory() as folder:
        stackctl = [sys.executable, "-m", "stackctl", "--home", folder]
        for workers, port in ((2, 5991), (1, 5992)):
            name = f"benchmark-{workers}"
            subprocess.run(
                [*stackctl, "deploy", "scenario-5", "--name", name, "--port", str(port),
                 "--set", f"workers={workers}"],
                check=True, capture_output=True,
            )  # fmt: skip
            medians.append(median_ms(port, new_run(port)))
            subprocess.run(
                [*stackctl, "remove", name, "--volumes", "--confirm", name],
                check=True, capture_output=True,
            )  # fmt: skip
            print(f"{workers} worker(s): {medians[-1]:.1f} ms for each log-metric")
    print(f"ratio {medians[0] / medians[1]:.2f}")


if __name__ == "__main__":
    main()
