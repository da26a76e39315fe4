"""Promote: from a laptop to a team's server, and back, with everything in it."""

import base64
import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any, ClassVar

import pytest
import sqlalchemy as sa

from stackctl.courier.database import migrate
from tests.contract.driving import ONE_WORKER, Deployed, User, free_port, until, words
from tests.contract.machine import Machine

CONTENT = Path(__file__).parent.parent / "contract" / "content.py"
# The schema of MLflow 2.22.2.
OLD_SCHEMA = "0584bdc529eb"


def promote(user: User, scenario: str, name: str, *source: str) -> str:
    """Copy into a new stack; returns what was told."""
    done = user.run("promote", *source, "--to", *words(scenario, name, *ONE_WORKER)[1:])
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def scatter(user: User, name: str, seed: int) -> None:
    """Log a store's content that is drawn by `seed`."""
    user.state(name).parent.mkdir(exist_ok=True)
    user.state(name).write_text(str(seed))
    user.client("scatter", name, CONTENT)


def tell(user: User, name: str) -> dict[str, Any]:
    """All that a client sees."""
    user.client("tell", name, CONTENT)
    return dict(json.loads(user.state(name).read_text()))


class TestDatabase:
    scenario: ClassVar[str] = "scenario-3b"
    settings: ClassVar = (*ONE_WORKER, "--set", "auth=basic")

    def test_everything_reaches_a_server_and_comes_back(
        self, deployed: Deployed, names: list[str]
    ) -> None:
        user, (server, back) = deployed.user, names
        scatter(user, deployed.name, 1)
        written = tell(user, deployed.name)
        assert set(written) == {"experiments", "runs", "models", "registered", "traces"}
        assert all(len(found) > 1 for found in written.values()), written
        login, of = ("--set", "auth=basic"), ("--stack", deployed.name)
        user.ok("roles", "add", "readers", *of)
        user.ok("roles", "grant", "readers", "READ", "experiment", "*", *of)
        password = user.ok("users", "add", "ada", "--role", "readers", *of).strip()
        user.ok("grant", "ada", "EDIT", "experiment", "Default", *of)
        told = promote(user, "scenario-5", server, deployed.name, *login)
        assert "tables and" in told
        assert "1 user came along with passwords, roles and permissions" in told
        assert tell(user, server) == written
        promote(user, "scenario-2", back, server, *login)
        assert tell(user, back) == written
        for name in (server, back):
            (role,) = json.loads(user.ok("roles", "list", "--json", "--stack", name))
            assert (role["users"], len(role["grants"])) == (["ada"], 1)
            assert json.loads(user.ok("users", "show", "ada", "--json", "--stack", name))
            entered = urllib.request.Request(f"{user.show(name)['ui']}/api/2.0/mlflow/experiments/"
                                             "get-by-name?experiment_name=Default")  # fmt: skip
            token = base64.b64encode(f"ada:{password}".encode()).decode()
            entered.add_header("Authorization", f"Basic {token}")
            with urllib.request.urlopen(entered, timeout=60) as answer:
                assert answer.status == 200
        # The source was only read.
        assert tell(user, deployed.name) == written

    @pytest.mark.matrix
    def test_a_dry_run_copies_nothing(self, deployed: Deployed, names: list[str]) -> None:
        user, name = deployed.user, names[0]
        told = user.ok("promote", deployed.name, "--to", "scenario-5", "--name", name, "--dry-run")
        assert re.search(r" \d+ runs, \d+ metrics[,;]", told)
        assert not user.stack(name).folder.exists()

    @pytest.mark.matrix
    def test_a_stack_that_holds_data_is_refused(self, deployed: Deployed, names: list[str]) -> None:
        user, name = deployed.user, names[0]
        done = user.run("promote", deployed.name, "--to", "scenario-3b", "--name", deployed.name)
        assert done.returncode == 2
        assert "into itself" in done.stderr
        user.ok(*words("scenario-2", name, *ONE_WORKER))
        user.client("write", name)
        done = user.run("promote", deployed.name, "--to", "scenario-2", "--name", name)
        assert done.returncode == 2
        assert "holds data" in done.stderr
        user.client("read", name)

    @pytest.mark.matrix
    def test_files_take_nothing(self, deployed: Deployed, names: list[str]) -> None:
        done = deployed.user.run("promote", deployed.name, "--to", "scenario-1", "--name", names[0])
        assert done.returncode == 2
        assert "keeps runs as files" in done.stderr

    @pytest.mark.matrix
    def test_one_that_is_killed_goes_on(self, deployed: Deployed, names: list[str]) -> None:
        user, name = deployed.user, names[0]
        deploy = words("scenario-2", name, *ONE_WORKER)
        process = user.start("promote", deployed.name, "--to", *deploy[1:])
        stack = user.stack(name)
        until(
            lambda: (found := stack.manifest()) is not None and found.status == "promoting",
            seconds=90, what="the promotion",
        )  # fmt: skip
        process.kill()
        process.communicate()
        refused = user.run(*deploy)
        assert refused.returncode == 2
        assert "half promoted" in refused.stderr
        user.ok("promote", deployed.name, "--to", *deploy[1:])
        assert tell(user, name) == tell(user, deployed.name)


@pytest.mark.matrix
@pytest.mark.parametrize("deployed", ["scenario-3b", "scenario-5", "scenario-5-mysql"],
                         indirect=True, scope="class")  # fmt: skip
class TestEveryDatabase:
    """What a seed draws is the same after every journey."""

    settings: ClassVar = ONE_WORKER

    def test_backup_and_restore(self, deployed: Deployed, names: list[str], tmp_path: Path) -> None:
        user, name = deployed.user, names[0]
        scatter(user, deployed.name, SEEDS[deployed.scenario])
        user.ok("backup", deployed.name, "-o", str(tmp_path / "a.tar"))
        user.ok("restore", str(tmp_path / "a.tar"), "--name", name, "--port", str(free_port()))
        assert tell(user, name) == tell(user, deployed.name)

    def test_there_and_back(self, deployed: Deployed, machine: Machine, names: list[str]) -> None:
        there, back = names
        user = deployed.user.having(machine.equipment("scenario-5-mysql"))
        scatter(user, deployed.name, SEEDS[deployed.scenario] + 10)
        promote(user, OTHER[deployed.scenario], there, deployed.name)
        promote(user, deployed.scenario, back, there)
        assert tell(user, back) == tell(user, there) == tell(user, deployed.name)


SEEDS = {"scenario-3b": 3, "scenario-5": 4, "scenario-5-mysql": 5}
OTHER = {"scenario-3b": "scenario-5-mysql", "scenario-5": "scenario-3b",
         "scenario-5-mysql": "scenario-5"}  # fmt: skip


@pytest.mark.matrix
class TestFiles:
    scenario: ClassVar[str] = "scenario-1"
    settings: ClassVar = ONE_WORKER

    def test_a_folder_becomes_a_database(self, deployed: Deployed, names: list[str]) -> None:
        user, name = deployed.user, names[0]
        scatter(user, deployed.name, 2)
        told = promote(user, "scenario-2", name, deployed.name)
        # With the one that every stack of these tests has.
        assert "10 runs" in told
        assert_holds(tell(user, name), tell(user, deployed.name))


def assert_holds(copy: dict[str, Any], written: dict[str, Any]) -> None:
    """Everything of a file store is in its copy.

    MLflow does not read artifacts and traces of a deleted experiment there, which are copied too.
    """
    for kind, found in written.items():
        assert set(found) <= set(copy[kind]), kind
        for name, value in found.items():
            if value.get("artifacts") == {}:
                value = {**value, "artifacts": copy[kind][name]["artifacts"]}
            assert copy[kind][name] == value, (kind, name)


class TestForeign:
    """What stackctl did not make."""

    def test_a_folder_of_a_laptop(self, user: User, names: list[str], tmp_path: Path) -> None:
        folder = tmp_path / "my prøject" / "mlruns"
        folder.parent.mkdir()
        written = content(folder.parent, str(folder))
        before = hashes(folder.parent)
        # A project that was copied has locations of where it was.
        moved = folder.parent.rename(tmp_path / "moved")
        promote(user, "scenario-2", names[0], "--from-folder", str(moved / "mlruns"))
        assert_holds(tell(user, names[0]), written)
        assert hashes(moved) == before

    @pytest.mark.matrix
    def test_what_the_target_cannot_take_is_told_before_it_is_made(
        self, user: User, names: list[str], tmp_path: Path
    ) -> None:
        folder = tmp_path / "mlruns"
        content(tmp_path, str(folder))
        run = next(folder.glob("*/*/params")).parent
        (run / "params" / "long").write_text("x" * 9000)
        (run / "params" / "._long").write_bytes(b"\x00\x05\x16\x07Mac OS X")
        (run / "artifacts" / "back\\slash.txt").write_text("b")
        words_ = ("promote", "--from-folder", str(folder), "--to", "scenario-5", "--name", names[0])
        for more in ((), ("--dry-run",), ("--truncate",), ("--skip-unreadable",)):
            refused = user.run(*words_, *more)
            assert refused.returncode == 2, refused.stderr
            assert "nothing was changed" in refused.stderr
            assert not user.stack(names[0]).folder.exists()
        told = promote(user, "scenario-5", names[0], "--from-folder", str(folder),
                       "--skip-unreadable", "--truncate")  # fmt: skip
        assert told.count("left out: ") == 2
        assert told.count("cut: ") == 1
        copied = tell(user, names[0])["runs"][run.name]
        assert copied["params"]["long"] == "x" * 8000
        assert "._long" not in copied["params"]
        assert not [name for name in copied["artifacts"] if "slash" in name]

    def test_a_database_of_an_older_mlflow(
        self, user: User, names: list[str], tmp_path: Path
    ) -> None:
        database, artifacts = tmp_path / "mlflow.db", tmp_path / "mlruns"
        fill_old(database, artifacts)
        before = hashes(tmp_path)
        told = promote(user, "scenario-2", names[0], "--from-uri", f"sqlite:///{database}")
        assert re.search(r"artifacts of 1 runs at \S+ stay where they are", told)
        (run,) = (r for r in tell(user, names[0])["runs"].values() if r["experiment"] == "mine")
        assert run["params"] == {"depth": "7"}
        assert run["points"] == [["loss", "0.5", 1, 1000], ["loss", "nan", 2, 2000]]
        assert list(run["artifacts"]) == ["artifacts/note.txt"]
        assert hashes(tmp_path) == before


def content(folder: Path, uri: str) -> dict[str, Any]:
    """What the real client logs into a store of its own, and sees there."""
    kept = folder / "state.json"
    kept.write_text("3")
    environment = {**os.environ, "MLFLOW_TRACKING_URI": uri, "MLFLOW_ALLOW_FILE_STORE": "true",
                   "CLIENT_TMP": str(folder), "MLFLOW_DISABLE_TELEMETRY": "true"}  # fmt: skip
    for verb in ("scatter", "tell"):
        subprocess.run([sys.executable, str(CONTENT), verb, str(kept)], env=environment,
                       cwd=folder, check=True, capture_output=True)  # fmt: skip
    return dict(json.loads(kept.read_text()))


def hashes(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def fill_old(database: Path, artifacts: Path) -> None:
    """A database of MLflow 2.22.2 with a run here, and one whose artifacts are far away."""
    engine = sa.create_engine(f"sqlite:///{database}")
    migrate(engine, OLD_SCHEMA)
    near, far = "a" * 32, "b" * 32
    (artifacts / "1" / near / "artifacts").mkdir(parents=True)
    (artifacts / "1" / near / "artifacts" / "note.txt").write_text("hello")
    places = {1: f"{artifacts}/1", 2: "mlflow-artifacts:/2"}
    with engine.begin() as connection:
        for number, name in ((1, "mine"), (2, "theirs")):
            connection.execute(
                sa.text("INSERT INTO experiments (experiment_id, name, artifact_location, "
                        "lifecycle_stage) VALUES (:n, :name, :at, 'active')"),
                {"n": number, "name": name, "at": places[number]},
            )  # fmt: skip
        for number, run in ((1, near), (2, far)):
            connection.execute(
                sa.text("INSERT INTO runs (run_uuid, name, status, start_time, end_time, user_id, "
                        "source_type, lifecycle_stage, experiment_id, artifact_uri) VALUES "
                        "(:r, 'old', 'FINISHED', 1, 2, 'me', 'LOCAL', 'active', :n, :at)"),
                {"r": run, "n": number, "at": f"{places[number]}/{run}/artifacts"},
            )  # fmt: skip
        connection.execute(sa.text(f"INSERT INTO params VALUES ('depth', '7', '{near}')"))
        points: dict[str, list[tuple[int, float, int]]]
        points = {"metrics": [(1, 0.5, 0), (2, 0, 1)], "latest_metrics": [(2, 0, 1)]}
        for table, found in points.items():
            for step, value, nan in found:
                connection.execute(
                    sa.text(f"INSERT INTO {table} (key, value, timestamp, run_uuid, step, is_nan) "
                            f"VALUES ('loss', {value}, {step}000, '{near}', {step}, {nan})")
                )  # fmt: skip
    engine.dispose()
