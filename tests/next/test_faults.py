"""What a client of MLflow 3.18 sees when a service is killed: it does not send a run again."""

import json
from pathlib import Path
from typing import ClassVar

from tests.contract.driving import ONE_WORKER, Deployed, until
from tests.contract.machine import Machine

CREATING = Path(__file__).with_name("creating.py")


class TestDatabaseKilled:
    scenario = "scenario-5"
    settings: ClassVar = ONE_WORKER

    def test_a_run_is_refused_at_once_and_none_is_there_twice(
        self, deployed: Deployed, machine: Machine
    ) -> None:
        user, name = deployed.user, deployed.name
        state = user.home / "client" / "creating.json"
        client = user.start_client("create", name, state, CREATING)
        try:
            until(state.exists, seconds=60, what="the client makes runs")
            before = machine.lives(deployed.stack)["postgres"]
            machine.kill(deployed.stack, "postgres")
            until(
                lambda: machine.lives(deployed.stack).get("postgres", before) != before,
                seconds=30, what="postgres was started again",
            )  # fmt: skip
            until(lambda: deployed.state() == "running", seconds=60, what="all is healthy")
        finally:
            state.with_suffix(".stop").touch()
            output, _ = client.communicate(timeout=120)
        assert client.returncode == 0, output
        found = json.loads(state.read_text())
        assert set(found["refused"].values()) == {"TEMPORARILY_UNAVAILABLE"}
        assert len(set(found["there"])) == len(found["there"])
        assert set(found["made"]) <= set(found["there"])
