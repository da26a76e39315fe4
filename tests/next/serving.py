"""A server of MLflow that stackctl did not make."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import requests

from tests.contract.driving import free_port, until


@contextmanager
def serving(folder: Path, destination: str, environment: Mapping[str, str]) -> Iterator[str]:
    """While it runs: its address. Its database is `mlflow.db` in the folder.

    Args:
        folder: Where it runs.
        destination: Where it keeps artifacts.
        environment: More variables.
    """
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port),
         "--backend-store-uri", f"sqlite:///{folder}/mlflow.db",
         "--artifacts-destination", destination],
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **environment},
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip

    def answers() -> bool:
        try:
            return requests.get(f"{address}/health", timeout=5).ok
        except requests.ConnectionError:
            return False

    try:
        until(answers, seconds=90, what=f"{address} answers")
        yield address
    finally:
        server.terminate()
        server.wait(timeout=60)
