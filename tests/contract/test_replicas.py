"""Several tracking servers: a deploy that changes them is noticed by no client."""

import http.client
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

from tests.contract.driving import Deployed, User, until
from tests.contract.https import behind_tls
from tests.contract.machine import Machine
from tests.contract.test_faults import kill_under_a_client

CLIENTS, PREFIX = 8, "/ml"


@dataclass
class Clients:
    """Some that log all the time, each on one connection, and never ask twice.

    Attributes:
        asks_again: But where a connection on which nothing was under way was closed meanwhile, as
            any server may do, and as every HTTP client asks again, MLflow's too.
        logged: The run of each, and how many values of it were acknowledged.
        lost: What else was answered.
    """

    port: int
    trusted: Path
    asks_again: bool = False
    logged: dict[str, int] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def log(self) -> None:
        """Until it is over."""
        connection = self._connection()
        made = self._ask(connection, "runs/create", {"experiment_id": "0"})
        run = json.loads(made)["run"]["info"]["run_id"]
        self.logged[run] = 0
        while not self.ended.is_set():
            step = self.logged[run]
            values = {"run_id": run, "key": "m", "value": 1, "timestamp": step, "step": step}
            try:
                self._ask(connection, "runs/log-metric", values)
            except (OSError, http.client.HTTPException, AssertionError) as error:
                idle = isinstance(error, http.client.RemoteDisconnected)
                if not (idle and self.asks_again):
                    self.lost.append(repr(error))
                connection.close()
            else:
                self.logged[run] += 1

    def kept(self, run: str) -> int:
        """How many values of it there are."""
        connection = self._connection()
        asked = f"metrics/get-history?run_id={run}&metric_key=m&max_results=25000"
        connection.request("GET", f"{PREFIX}/api/2.0/mlflow/{asked}")
        return len(json.loads(connection.getresponse().read())["metrics"])

    def _connection(self) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=self.trusted)
        return http.client.HTTPSConnection("localhost", self.port, timeout=300, context=context)

    def _ask(self, connection: http.client.HTTPSConnection, path: str, body: object) -> bytes:
        connection.request("POST", f"{PREFIX}/api/2.0/mlflow/{path}", json.dumps(body),
                           {"Content-Type": "application/json"})  # fmt: skip
        answer = connection.getresponse()
        told = answer.read()
        assert answer.status == 200, (answer.status, told)
        return told

    @contextmanager
    def all_at_work(self) -> Iterator[None]:
        """While they are, from a moment on at which each has logged something."""
        threads = [threading.Thread(target=self.log, daemon=True) for _ in range(CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            until(lambda: len(self.logged) == CLIENTS and all(self.logged.values()), seconds=60,
                  what="every client logs")  # fmt: skip
            yield
        finally:
            self.ended.set()
            for thread in threads:
                thread.join()


class Replicas:
    """scenario-5 with two tracking servers."""

    runtime: ClassVar[str]
    scenario: ClassVar[str] = "scenario-5"

    @pytest.fixture(scope="class")
    def deployed(self, machine: Machine, user: User, stack_name: Callable[[], str]) -> Deployed:
        deployed = Deployed(user, behind_tls(self.scenario, stack_name(), PREFIX, "replicas=2"))
        deployed.deploy()
        return deployed

    def clients(self, deployed: Deployed) -> Clients:
        """Of the stack."""
        trusted = deployed.stack.secrets.path / "ca_certificate"
        return Clients(int(deployed.words[5]), trusted)

    def test_a_real_client_logs_and_reads_back(self, deployed: Deployed) -> None:
        deployed.user.client("write", deployed.name)
        deployed.user.client("read", deployed.name)

    def test_a_change_of_the_servers_is_noticed_by_no_client(
        self, deployed: Deployed, machine: Machine
    ) -> None:
        clients, before = self.clients(deployed), machine.lives(deployed.stack)
        with clients.all_at_work():
            told = deployed.deploy("--set", "server.env.CHANGED=yes")
            counted = dict(clients.logged)
            until(lambda: all(clients.logged[run] > count for run, count in counted.items()),
                  seconds=60, what="every client logs on")  # fmt: skip
        assert clients.lost == []
        assert told.index("recreate tracking:") < told.index("recreate tracking-2:")
        after = machine.lives(deployed.stack)
        changed = {name for name in after if after[name] != before[name]}
        # Compose runs the bucket job again with whatever it starts.
        assert changed - {"bucket"} == {"tracking", "tracking-2"}
        assert {run: clients.kept(run) for run in clients.logged} == clients.logged

    def test_one_more_is_led_to_without_another_proxy(
        self, deployed: Deployed, machine: Machine
    ) -> None:
        clients, before = self.clients(deployed), machine.lives(deployed.stack)
        clients.asks_again = True
        with clients.all_at_work():
            told = deployed.deploy("--set", "server.env.CHANGED=yes", "--set", "replicas=3")
            assert "reload proxy: its configuration changed" in told
            counted = dict(clients.logged)
            until(lambda: all(clients.logged[run] > count for run, count in counted.items()),
                  seconds=60, what="every client logs on")  # fmt: skip
        assert clients.lost == []
        after = machine.lives(deployed.stack)
        assert set(after) - set(before) == {"tracking-3"}
        assert after["proxy"] == before["proxy"]
        told = deployed.user.ok("logs", "tracking-3", "--stack", deployed.name, "--tail", "1000")
        assert "runs/log-metric" in told

    def test_one_that_is_killed_is_missed_by_nobody_who_asks_again(
        self, deployed: Deployed, machine: Machine
    ) -> None:
        kill_under_a_client(machine, deployed, "tracking-2")

    def test_a_second_deploy_changes_nothing(self, deployed: Deployed) -> None:
        until(lambda: deployed.state() == "running", seconds=120, what="all of it runs again")
        deployed.user.ok("plan", deployed.name, "--detailed-exitcode")


class TestEmbedded(Replicas):
    runtime = "embedded"


@pytest.mark.matrix
class TestDocker(Replicas):
    runtime = "docker"
