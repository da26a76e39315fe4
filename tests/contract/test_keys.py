"""What MLflow encrypts in a stack's database can be read by that stack, whatever has been done."""

import base64
import hashlib
import hmac
import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

import pytest
from cryptography.fernet import Fernet

from stackctl.kinds import KEYS
from stackctl.scenarios import load
from tests.contract.client import SEALED
from tests.contract.driving import Deployed, free_port, until, words
from tests.contract.machine import Machine
from tests.contract.sealed import Sealed

WHOLE = {"webhook": {"hook": SEALED["webhook"]}, "gateway": {"provider": SEALED["gateway"]}}
# What stands in MLflow's source.
DEFAULT = "mlflow-default-kek-passphrase-for-development-only"


class Keys:
    """Two workers, and everything that moves a stack's data."""

    runtime: ClassVar[str]
    scenario: ClassVar[str]
    # Two workers, as by default.
    settings: ClassVar[tuple[str, ...]] = ()
    other: ClassVar[str]

    @pytest.fixture(scope="class")
    def sealed(self, deployed: Deployed, machine: Machine) -> Sealed:
        """The stack's, with one of each kind."""
        deployed.user.client("seal", deployed.name)
        return Sealed(machine, deployed.stack, load(deployed.scenario).backend)

    @pytest.fixture
    def of(self, deployed: Deployed, machine: Machine) -> Callable[[str, str], Sealed]:
        """Those of another stack, of a scenario."""
        return lambda name, scenario: Sealed(
            machine, deployed.user.stack(name), load(scenario).backend
        )

    def test_every_worker_reads_what_one_has_encrypted(
        self, deployed: Deployed, sealed: Sealed
    ) -> None:
        assert sealed.opened() == WHOLE
        deployed.user.client("hooks", deployed.name)
        # Who has the database alone reads nothing.
        assert set(sealed.gateway(DEFAULT).values()) == {""}

    def test_a_restart_changes_nothing(
        self, deployed: Deployed, sealed: Sealed, machine: Machine
    ) -> None:
        restart(deployed, machine)
        deployed.user.client("hooks", deployed.name)

    def test_rotated_keys_open_and_the_old_ones_do_not(
        self, deployed: Deployed, sealed: Sealed
    ) -> None:
        user, secrets = deployed.user, deployed.stack.secrets
        old = [secrets.read(key.secret).reveal() for key in KEYS]
        told = user.ok("secrets", "rotate", *(k.secret for k in KEYS), "--stack", deployed.name)
        assert told.split() == [key.secret for key in KEYS]
        assert sealed.opened() == WHOLE
        assert sealed.webhooks(old[0]) == {"hook": ""}
        assert sealed.gateway(old[1]) == {"provider": ""}
        user.client("hooks", deployed.name)

    def test_another_stack_of_the_home_reads_what_it_is_given(
        self,
        deployed: Deployed,
        sealed: Sealed,
        of: Callable[[str, str], Sealed],
        names: list[str],
        tmp_path: Path,
    ) -> None:
        user, (restored, promoted) = deployed.user, names
        path = str(tmp_path / "a.tar")
        done = user.run("backup", deployed.name, "-o", path)
        assert done.returncode == 0, done.stderr
        for key in KEYS:
            assert f"the archive will hold {key.count(1)}, encrypted" in done.stderr
        user.ok("restore", path, "--name", restored, "--port", str(free_port()))
        assert of(restored, deployed.scenario).opened() == WHOLE
        user.client("hooks", restored)
        user.ok("promote", deployed.name, "--to", *words(self.other, promoted)[1:])
        assert of(promoted, self.other).opened() == WHOLE
        user.client("hooks", promoted)

    def test_another_home_needs_the_keys_and_is_told(
        self,
        deployed: Deployed,
        sealed: Sealed,
        of: Callable[[str, str], Sealed],
        names: list[str],
        tmp_path: Path,
    ) -> None:
        user, (bare, whole) = deployed.user, names
        phrase = tmp_path / "phrase"
        phrase.write_text("a phrase that is long enough")
        path, secret = str(tmp_path / "a.tar"), ["--with-secrets", "--passphrase-file", str(phrase)]
        done = user.run("backup", deployed.name, "-o", path, *secret)
        assert done.returncode == 0, done.stderr
        assert "encrypted, and not the key" not in done.stderr
        aside = deployed.stack.secrets.path.rename(user.home / "aside")
        try:
            done = user.run("restore", path, "--name", bare, "--port", str(free_port()))
            user.ok("restore", path, "--name", whole, "--port", str(free_port()), *secret)
        finally:
            aside.rename(deployed.stack.secrets.path)
        assert done.returncode == 0, done.stderr
        begin = done.stderr.index("nobody will be able to read 1 secret of a webhook")
        assert begin < done.stderr.index("generated ")
        assert re.search(r"no key opens the 1 secret of a webhook: 'hook'", done.stderr)
        assert re.search(r"no key opens the 1 API key of the gateway: 'provider'", done.stderr)
        # What nobody can read does not stand in the way of the rest.
        told = user.ok("show", bare, "--json")
        assert json.loads(told)["state"] == "running"
        assert of(bare, deployed.scenario).gateway("x" * 20) == {"provider": ""}
        assert of(whole, deployed.scenario).opened() == WHOLE
        user.client("hooks", whole)

    def test_one_of_an_earlier_stackctl_is_taken_over(
        self,
        deployed: Deployed,
        sealed: Sealed,
        machine: Machine,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        stack = deployed.stack
        for name, value in machine.variables.items():
            monkeypatch.setenv(name, value)
        without_keys(deployed, machine)
        plan = deployed.user.ok("plan", *deployed.words[1:])
        assert re.search(r"~ change +keys ", plan)
        done = deployed.deploy()
        assert "no key opens the 1 secret of a webhook: 'hook'" in done
        assert sealed.gateway(stack.secrets.read("gateway_passphrase").reveal()) == WHOLE["gateway"]
        assert sealed.gateway(DEFAULT) == {"provider": ""}
        assert "nothing to do" in deployed.deploy()


def without_keys(deployed: Deployed, machine: Machine) -> None:
    """Make of a stack what a stackctl without keys would have deployed, and MLflow encrypted."""
    from stackctl.deployment import Deployment
    from stackctl.operations import keys

    stack = deployed.stack
    found = Deployment.recorded(stack)
    keys.give_back(found)
    secret = Fernet(Fernet.generate_key()).encrypt(b"of a worker that has ended").decode()
    machine.sql(stack, f"UPDATE webhooks SET secret = '{secret}'")
    for path in stack.bundle.glob("**/tracking.sh"):
        kept = [line for line in path.read_text().splitlines(keepends=True)
                if not any(key.variable in line for key in KEYS)]  # fmt: skip
        path.write_text("".join(kept))
    # A container is not started without the files that it was made with.
    restart(deployed, machine)
    for key in KEYS:
        (stack.secrets.path / key.secret).unlink()
    manifest = stack.require_manifest()
    others = tuple(n for n in manifest.secrets if n not in {key.secret for key in KEYS})
    stack.save(manifest.with_(keyed=False, secrets=others))


def restart(deployed: Deployed, machine: Machine) -> None:
    """Kill the server, and have it come back."""
    before = machine.lives(deployed.stack)["tracking"]
    machine.kill(deployed.stack, "tracking")
    until(
        lambda: machine.lives(deployed.stack).get("tracking", before) != before
        and deployed.state() == "running",
        seconds=90, what="the server is back",
    )  # fmt: skip


def allow_calls_to_this_machine(deployed: Deployed, machine: Machine) -> None:
    """MLflow calls nobody by http, and no private address, unless it is told (3.17.2)."""
    path = deployed.stack.bundle / "processes" / "tracking.toml"
    more = 'MLFLOW_WEBHOOK_ALLOWED_SCHEMES = "http"\nMLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS = "true"\n'
    text, count = re.subn(r"(?m)^\[environment\]\n", rf"\g<0>{more}", path.read_text())
    assert count == 1
    path.write_text(text)
    restart(deployed, machine)


@contextmanager
def listener() -> Iterator[tuple[int, list[tuple[dict[str, str], str]]]]:
    """A server on loopback; gives its port, and headers and body of each call."""
    calls: list[tuple[dict[str, str], str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            calls.append((dict(self.headers), body.decode()))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.005,))
        thread.start()
        try:
            yield server.server_port, calls
        finally:
            server.shutdown()
            thread.join()


# Which keys are asked for, tests/operations/test_keys.py shows with a fake runtime.
class TestEmbedded(Keys):
    runtime = "embedded"
    rarely = ("test_another_home_needs_the_keys_and_is_told",)
    scenario = "scenario-3b"
    other = "scenario-5"

    def test_who_is_called_knows_who_calls(
        self, deployed: Deployed, sealed: Sealed, machine: Machine
    ) -> None:
        allow_calls_to_this_machine(deployed, machine)
        user = deployed.user
        with listener() as (port, calls):
            user.having({"HOOK": f"http://127.0.0.1:{port}"}).client("call", deployed.name)
            until(lambda: calls, seconds=60, what="the call")
            headers, body = calls[0]
            user.client("hang-up", deployed.name)
        assert json.loads(body)["data"]["name"] == "called"
        sent = f"{headers['X-MLflow-Delivery-Id']}.{headers['X-MLflow-Timestamp']}.{body}"
        signature = hmac.digest(SEALED["webhook"].encode(), sent.encode(), hashlib.sha256)
        assert headers["X-MLflow-Signature"] == f"v1,{base64.b64encode(signature).decode()}"
        assert deployed.state() == "running"


@pytest.mark.matrix
class TestDocker(Keys):
    runtime = "docker"
    scenario = "scenario-5"
    other = "scenario-3b-mysql"
