"""The skill registry of MLflow 3.18: rows, and content in a folder of its own that none may write.

Each journey of data carries both, and what a scenario cannot serve is named.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from tests.contract.driving import ONE_WORKER, Deployed, User, free_port, words
from tests.next.serving import serving

SKILLS = Path(__file__).with_name("skills.py")


def use(user: User, verb: str, stack: str, state: Path) -> None:
    """Run the client in a shell that evaluated `stackctl env`."""
    output, _ = user.start_client(verb, stack, state, SKILLS).communicate(timeout=120)
    assert "Traceback" not in output, output[-3000:]
    assert state.is_file(), output


@pytest.fixture(scope="class")
def state(deployed: Deployed) -> Path:
    """What was registered."""
    path = deployed.user.home / "client" / "skills.json"
    use(deployed.user, "write", deployed.name, path)
    return path


class TestJourneys:
    scenario = "scenario-5"
    settings: ClassVar = ONE_WORKER

    def test_nobody_writes_where_uploaded_content_is(self, deployed: Deployed, state: Path) -> None:
        use(deployed.user, "immutable", deployed.name, state)
        use(deployed.user, "read", deployed.name, state)

    def test_gc_takes_none(self, deployed: Deployed, state: Path) -> None:
        deployed.user.client("litter", deployed.name)
        told = deployed.user.ok("gc", deployed.name, "--older-than", "0s", "--yes")
        assert told
        assert "skill" not in told
        use(deployed.user, "read", deployed.name, state)

    def test_a_restored_stack_has_them(
        self, deployed: Deployed, state: Path, names: list[str], tmp_path: Path
    ) -> None:
        user, name, archive = deployed.user, names[0], tmp_path / "a.tar"
        done = user.run("backup", deployed.name, "-o", str(archive))
        assert done.returncode == 0, done.stderr
        assert "3 skills, 3 uploaded skill versions" in done.stderr
        user.ok("restore", str(archive), "--name", name, "--port", str(free_port()))
        use(user, "read", name, state)

    def test_a_promoted_stack_has_them(
        self, deployed: Deployed, state: Path, names: list[str]
    ) -> None:
        user, name = deployed.user, names[0]
        user.ok("promote", deployed.name, "--to", *words("scenario-5", name, *ONE_WORKER)[1:])
        use(user, "read", name, state)

    def test_a_scenario_that_serves_no_content_is_named(
        self, deployed: Deployed, state: Path, names: list[str]
    ) -> None:
        done = deployed.user.run(
            "promote", deployed.name, "--to", "scenario-4", "--name", names[0], "--dry-run"
        )
        assert done.returncode == 0, done.stderr
        assert "uploaded skill versions, 3, are copied" in done.stdout + done.stderr


def test_those_of_a_server_that_stackctl_did_not_make(
    user: User, names: list[str], tmp_path: Path
) -> None:
    kept, state = tmp_path / "kept", tmp_path / "skills.json"
    with serving(tmp_path, str(kept), {}) as address:
        subprocess.run(
            [sys.executable, str(SKILLS), "write", str(state)], check=True, cwd=tmp_path,
            env={**os.environ, "MLFLOW_TRACKING_URI": address, "CLIENT_TMP": str(tmp_path)},
        )  # fmt: skip
    from_uri = ("--from-uri", f"sqlite:///{tmp_path}/mlflow.db")
    to = ("--to", *words("scenario-5", names[0], *ONE_WORKER)[1:])
    done = user.run("promote", *from_uri, *to, "--dry-run")
    assert "content of 3 uploaded skill versions is not copied" in done.stdout + done.stderr
    user.ok("promote", *from_uri, "--artifacts", str(kept), *to)
    use(user, "read", names[0], state)
