"""What a server is told in MLflow's own words, on any runtime."""

import urllib.request
from collections.abc import Collection

from tests.contract.driving import Deployed
from tests.contract.leaks import leaks
from tests.contract.machine import Machine

GIVEN = {"openai_key": 'sk-it\'s $HOME and "no" `true`; 0123456789abcdef'}
SETTINGS = (
    "--set", "server.args.x-frame-options=DENY",
    "--set", "server.args.expose-prometheus=metrics",
    "--set", "server.env.GREETING=it's $HOME and \"no\" `true`; ",
    "--set", "server.env.OPENAI_API_KEY=secret:openai_key",
)  # fmt: skip


def assert_told(deployed: Deployed, machine: Machine, environment: Collection[str]) -> None:
    """It serves as it was told to, and nobody else learns the secret.

    Args:
        deployed: Was deployed with `SETTINGS`, and `GIVEN`.
        machine: On which.
        environment: `NAME=value` of the processes of the server.
    """
    address = deployed.user.show(deployed.name)["ui"]
    with urllib.request.urlopen(f"{address}/", timeout=60) as answer:
        assert answer.headers["X-Frame-Options"] == "DENY"
    with urllib.request.urlopen(f"{address}/metrics", timeout=60) as answer:
        assert b"mlflow_http_request_total{" in answer.read()
    assert 'GREETING=it\'s $HOME and "no" `true`; ' in environment
    assert f"OPENAI_API_KEY={GIVEN['openai_key']}" in environment
    assert leaks(deployed, machine) == []
