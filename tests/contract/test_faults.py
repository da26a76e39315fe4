"""What goes wrong while a stack runs or starts on any runtime, and what must hold then.

A runtime takes part with three classes of three lines at the end.
"""

import json
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from stackctl.cli import main
from tests.contract import copied_home
from tests.contract.driving import ONE_WORKER, Deployed, User, until, words
from tests.contract.leaks import leaks
from tests.contract.machine import Machine

# What a server with a login finds in place of its users: it does not start.
NO_DATABASE = b"this is no database\n" * 100


@pytest.fixture
def somebody(machine: Machine, tmp_path: Path) -> Iterator[User]:
    """A user whose home may be moved, and whom every other user may visit."""
    for folder in tmp_path.parents:
        if folder.name.startswith("pytest-") and folder.stat().st_uid == tmp_path.stat().st_uid:
            folder.chmod(0o711)
    tmp_path.chmod(0o711)
    somebody = machine.user(tmp_path / "home")
    yield somebody
    machine.clean_up(somebody)


def kill_under_a_client(machine: Machine, deployed: Deployed, service: str) -> None:
    """End a service as a crash does; the client goes on, and finds what it was told is stored."""
    with deployed.under_a_client() as acknowledged:
        before = machine.lives(deployed.stack)[service]
        machine.kill(deployed.stack, service)
        until(
            lambda: machine.lives(deployed.stack).get(service, before) != before,
            seconds=30, what=f"{service} was started again",
        )  # fmt: skip
        at_start = acknowledged()
        until(lambda: acknowledged() >= at_start + 10, seconds=90, what="the client goes on")
    until(lambda: deployed.state() == "running", seconds=60, what="every service is healthy again")


class ManyServices:
    """One stack of scenario-5, of which one part after another fails."""

    runtime: ClassVar[str]
    scenario = "scenario-5"

    @pytest.mark.parametrize("service", ["postgres", "tracking"])
    def test_killed_service_heals_and_nothing_acknowledged_is_lost(
        self, machine: Machine, deployed: Deployed, service: str
    ) -> None:
        kill_under_a_client(machine, deployed, service)

    @pytest.mark.matrix
    def test_stack_with_data_is_not_pointed_at_another_store(
        self, machine: Machine, deployed: Deployed
    ) -> None:
        before = machine.lives(deployed.stack)
        for other in ("bucket=another", "object_store=minio"):
            done = deployed.user.run(*deployed.words, "--set", other)
            assert done.returncode == 2, done.stderr
            assert "would not find it" in done.stderr
        assert machine.lives(deployed.stack) == before

    @pytest.fixture
    def copied(
        self, deployed: Deployed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[User]:
        """The user in a copy of the home, as whom this process now acts."""
        for name, value in deployed.user.environment.items():
            monkeypatch.setenv(name, value)
        copy = copied_home.copy_of(deployed.user, tmp_path / "copy")
        monkeypatch.setenv("STACKCTL_HOME", str(copy.home))
        monkeypatch.chdir(copy.home)
        yield copy
        shutil.rmtree(copy.home)

    def test_no_command_reaches_it_from_a_copied_home(
        self,
        machine: Machine,
        deployed: Deployed,
        copied: User,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        archive, store = tmp_path / "a.tar", tmp_path / "mlruns"
        deployed.user.ok("backup", deployed.name, "-o", str(archive))
        (store / "0").mkdir(parents=True)
        (store / "0" / "meta.yaml").write_text("experiment_id: '0'\nname: Default\n")
        lives, held = machine.lives(deployed.stack), copied_home.content(deployed)
        calls = copied_home.calls(deployed, archive, store)
        assert copied_home.commands() == {*calls, *copied_home.REACHES_NOTHING}
        for command, variants in calls.items():
            for status in filter(None, ("deployed", copied_home.interrupted(command))):
                copied_home.leave_half_done(copied, deployed.name, status)
                for variant in variants:
                    said = ["stackctl", *command.removesuffix(" create").split(), *variant]
                    monkeypatch.setattr(sys, "argv", said)
                    with pytest.raises(SystemExit) as end:
                        main()
                    told = capfd.readouterr().err
                    assert (end.value.code, "is a copy" in told) == (2, True), (said, told)
        assert f"copy of {deployed.user.home}" in copied.ok("show", deployed.name)
        assert machine.lives(deployed.stack) == lives
        assert copied_home.content(deployed) == held
        assert list((copied.home / ".stackctl").iterdir()) == [copied.stack(deployed.name).folder]

    def test_no_secret_is_in_what_is_left_behind(
        self, machine: Machine, deployed: Deployed
    ) -> None:
        deployed_at = (deployed.stack.folder / "manifest.json").stat().st_mtime
        # By then SeaweedFS, which keeps its log to itself at first, has written it.
        until(lambda: time.time() - deployed_at > 31, seconds=40, what="the stack is old enough")
        assert leaks(deployed, machine) == []

    def test_killed_object_store_heals_and_nothing_acknowledged_is_lost(
        self, machine: Machine, deployed: Deployed
    ) -> None:
        kill_under_a_client(machine, deployed, "objects")

    def test_database_with_another_password_is_explained(self, deployed: Deployed) -> None:
        deployed.user.ok("remove", deployed.name)
        secret = deployed.stack.secrets.path / "postgres_password"
        value = secret.read_text()
        secret.write_text("another-password-than-before")
        done = deployed.user.run(*deployed.words, "--timeout", "25")
        assert done.returncode == 3
        assert "put that value back" in done.stderr
        assert "another-password-than-before" not in done.stderr + done.stdout
        secret.write_text(value)
        deployed.deploy()
        deployed.user.client("read", deployed.name)


class OneService:
    """One stack of scenario-3b, to which somebody does what fails."""

    runtime: ClassVar[str]
    scenario = "scenario-3b"

    def test_later_start_that_fails_puts_back_what_ran(self, deployed: Deployed) -> None:
        users = deployed.user.home / "data" / deployed.name / "users.db"
        users.write_bytes(NO_DATABASE)
        done = deployed.user.run(*deployed.words, "--set", "auth=basic", "--timeout", "60")
        assert done.returncode == 3, done.stderr
        assert "file is not a database" in done.stderr
        until(
            lambda: deployed.state() == "running",
            seconds=60, what="the stack from before runs again",
        )  # fmt: skip
        deployed.user.client("read", deployed.name)
        assert "nothing to do" in deployed.deploy()
        assert users.read_bytes() == NO_DATABASE

    def test_port_of_another_stack_names_it(
        self, machine: Machine, deployed: Deployed, name: str
    ) -> None:
        port = deployed.words[5]
        done = deployed.user.run("deploy", "scenario-3b", "--name", name, "--port", port)
        assert done.returncode == 3
        assert f"port {port}" in done.stderr
        assert f"stack {deployed.name!r}" in done.stderr
        assert machine.leftovers(deployed.user.stack(name)) == []

    def test_logs_are_followed_until_ctrl_c(self, deployed: Deployed) -> None:
        told = deployed.user.ok("logs", "tracking", "--stack", deployed.name)
        assert "Uvicorn running" in told
        follow = deployed.user.start("logs", "--stack", deployed.name, "-f")
        assert follow.stdout is not None
        assert follow.stdout.readline()
        follow.send_signal(signal.SIGINT)
        follow.communicate(timeout=30)
        assert follow.returncode == 130

    def test_doctor_knows_a_port_as_the_stack_s_own(self, deployed: Deployed) -> None:
        findings = json.loads(deployed.user.run("doctor", "--json").stdout)
        subject = f"port {deployed.words[5]}, {deployed.name}"
        told = [finding["told"] for finding in findings if finding["subject"] == subject]
        assert told == ["the stack's own"]

    @pytest.mark.matrix
    def test_data_that_another_stack_uses_is_not_deleted(
        self, deployed: Deployed, person: User, name: str
    ) -> None:
        folder = deployed.user.home / "data" / deployed.name
        person.ok(*words("scenario-2", name, "--set", f"data={folder}", *ONE_WORKER))
        done = person.run("remove", deployed.name, "--volumes", "--confirm", deployed.name)
        assert done.returncode == 2
        assert name in done.stderr
        person.ok("remove", name, "--volumes", "--confirm", name)
        deployed.user.client("read", deployed.name)

    @pytest.mark.matrix
    def test_data_folder_that_vanished_is_not_made_anew(self, deployed: Deployed) -> None:
        deployed.user.ok("remove", deployed.name)
        folder = deployed.user.home / "data" / deployed.name
        folder.rename(folder.with_name("not mounted"))
        done = deployed.user.run(*deployed.words)
        assert done.returncode == 2
        assert "is gone" in done.stderr
        assert not folder.exists()
        folder.with_name("not mounted").rename(folder)
        deployed.deploy()


class Deploys:
    """Deploys and removals that fail, are interrupted, or meet others."""

    runtime: ClassVar[str]

    def test_first_start_that_fails_leaves_nothing(
        self, machine: Machine, person: User, name: str
    ) -> None:
        data = person.home / "data" / name
        data.mkdir(parents=True)
        (data / "users.db").write_bytes(NO_DATABASE)
        done = person.run(*words("scenario-3b", name, *ONE_WORKER, "--set", "auth=basic"))
        assert done.returncode == 3
        assert "stackctl: service tracking" in done.stderr
        assert "last log lines" in done.stderr
        assert "file is not a database" in done.stderr
        assert (data / "users.db").read_bytes() == NO_DATABASE
        shutil.rmtree(data)
        assert machine.leftovers(person.stack(name)) == []

    @pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
    def test_interrupted_deploy_leaves_nothing(
        self, machine: Machine, person: User, name: str, sent: signal.Signals
    ) -> None:
        running = person.start(*words("scenario-5", name))
        until(
            lambda: "tracking" in machine.lives(person.stack(name)),
            seconds=60, what="it has begun",
        )  # fmt: skip
        running.send_signal(sent)
        _, told = running.communicate(timeout=60)
        assert running.returncode == 130, told
        assert machine.leftovers(person.stack(name)) == []

    def test_deploy_that_was_interrupted_and_killed_is_finished_by_the_next(
        self, machine: Machine, person: User, name: str
    ) -> None:
        deploy = words("scenario-5", name, *ONE_WORKER)
        for sent in (signal.SIGINT, signal.SIGKILL):
            running = person.start(*deploy)
            until(
                lambda: "postgres" in machine.lives(person.stack(name)),
                seconds=60, what="it has begun",
            )  # fmt: skip
            running.send_signal(sent)
            running.communicate(timeout=60)
        person.ok(*deploy)
        person.client("write", name)

    @pytest.mark.parametrize(
        ("scenario", "service"), [("scenario-5", "postgres"), ("scenario-3b-mysql", "mysql")]
    )
    def test_database_killed_in_its_first_initialisation_starts_anew(
        self, machine: Machine, person: User, name: str, scenario: str, service: str
    ) -> None:
        person = person.having(machine.equipment(scenario))
        deploy = words(scenario, name, *ONE_WORKER)
        logs = ""
        # On a busy machine the initialisation may end before the signal comes.
        for _ in range(3):
            running = person.start(*deploy)
            until(
                lambda: machine.initialising(person.stack(name), service),
                seconds=60, what=f"{service} initialises its data",
            )  # fmt: skip
            machine.kill(person.stack(name), service)
            running.communicate(timeout=240)
            if running.returncode:
                person.ok(*deploy)
            logs = person.ok("logs", service, "--stack", name, "--tail", "1000")
            if "initialising anew" in logs:
                break
            person.ok("remove", name, "--volumes", "--confirm", name)
        assert "initialising anew" in logs, logs
        person.client("write", name)

    def test_two_deploys_at_once_never_interleave(self, person: User, name: str) -> None:
        deploy = words("scenario-3b", name, *ONE_WORKER)
        both = [person.start(*deploy), person.start(*deploy)]
        told = [process.communicate(timeout=120)[1] for process in both]
        assert sorted(process.returncode for process in both) == [0, 3], told
        assert any("another stackctl is working" in text for text in told)
        assert person.show(name)["state"] == "running"

    @pytest.mark.matrix
    def test_remove_of_what_does_not_exist(self, person: User) -> None:
        done = person.run("remove", "there-is-none")
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1

    @pytest.mark.matrix
    def test_remove_with_volumes_spares_a_folder_that_stackctl_did_not_make(
        self, machine: Machine, person: User, name: str, tmp_path: Path
    ) -> None:
        (tmp_path / "thesis.txt").write_text("mine")
        person.ok(*words("scenario-3b", name, "--set", f"data={tmp_path}", *ONE_WORKER))
        person.client("write", name)
        person.ok("remove", name, "--volumes", "--confirm", name)
        assert (tmp_path / "thesis.txt").read_text() == "mine"
        assert (tmp_path / "mlruns.db").exists()
        assert machine.leftovers(person.stack(name)) == []

    def test_home_that_was_moved_while_it_runs_still_owns_its_data(
        self, machine: Machine, somebody: User, name: str, tmp_path: Path
    ) -> None:
        deploy = words("scenario-5", name, *ONE_WORKER)
        somebody.ok(*deploy)
        somebody.client("write", name)
        somebody.home = somebody.home.rename(tmp_path / "moved")
        somebody.ok(*deploy)
        somebody.client("read", name)
        assert machine.lives(somebody.stack(name))
        somebody.ok("remove", name, "--volumes", "--confirm", name)
        assert machine.leftovers(somebody.stack(name)) == []


# What a runtime does by itself is shown on each; what stackctl decides, on one.
class TestDockerManyServices(ManyServices):
    runtime = "docker"
    rarely = (
        "test_killed_service_heals_and_nothing_acknowledged_is_lost[tracking]",
        "test_killed_object_store_heals_and_nothing_acknowledged_is_lost",
        "test_no_secret_is_in_what_is_left_behind",
        "test_database_with_another_password_is_explained",
    )


class TestDockerOneService(OneService):
    runtime = "docker"
    rarely = ("test_later_start_that_fails_puts_back_what_ran",)


class TestDockerDeploys(Deploys):
    runtime = "docker"
    rarely = (
        "test_first_start_that_fails_leaves_nothing",
        "test_interrupted_deploy_leaves_nothing[15]",
        "test_deploy_that_was_interrupted_and_killed_is_finished_by_the_next",
        "test_database_killed_in_its_first_initialisation_starts_anew[scenario-5-postgres]",
        "test_database_killed_in_its_first_initialisation_starts_anew[scenario-3b-mysql-mysql]",
        "test_two_deploys_at_once_never_interleave",
        "test_home_that_was_moved_while_it_runs_still_owns_its_data",
    )


class TestEmbeddedManyServices(ManyServices):
    runtime = "embedded"
    rarely = (
        "test_killed_service_heals_and_nothing_acknowledged_is_lost[postgres]",
        "test_no_command_reaches_it_from_a_copied_home",
        "test_database_with_another_password_is_explained",
    )


class TestEmbeddedOneService(OneService):
    runtime = "embedded"
    rarely = (
        "test_later_start_that_fails_puts_back_what_ran",
        "test_port_of_another_stack_names_it",
        "test_doctor_knows_a_port_as_the_stack_s_own",
    )


class TestEmbeddedDeploys(Deploys):
    runtime = "embedded"
    rarely = (
        "test_interrupted_deploy_leaves_nothing[2]",
        "test_interrupted_deploy_leaves_nothing[15]",
        "test_deploy_that_was_interrupted_and_killed_is_finished_by_the_next",
        "test_database_killed_in_its_first_initialisation_starts_anew[scenario-5-postgres]",
        "test_two_deploys_at_once_never_interleave",
        "test_home_that_was_moved_while_it_runs_still_owns_its_data",
    )
