"""What goes wrong while a stack runs or starts, and what must hold then."""

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import docker
import pytest

from stackctl.stack import Home
from stackctl.versions import DEFAULT_IMAGES
from tests.docker.driving import (
    User,
    containers,
    free_port,
    kill_main_process,
    leftovers,
    lives,
    until,
    words,
)

# An image that has no MLflow, and declares no volume that would be left behind.
WITHOUT_MLFLOW = f"images.tracking={DEFAULT_IMAGES['base']}"


def nothing_is_left(person: User, daemon: docker.DockerClient, name: str) -> None:
    assert leftovers(daemon, name) == []
    assert not (person.home / ".stackctl" / name).exists()
    assert not (person.home / ".secrets" / name).exists()
    assert not (person.home / "data" / name).exists()


@pytest.fixture(scope="class")
def stack(user: User, stack_name: Callable[[], str]) -> str:
    name = stack_name()
    user.ok(*words("scenario-5", name))
    return name


class TestKilledServices:
    """One stack of scenario-5, whose services are killed one after another under a client."""

    @pytest.mark.parametrize("service", ["postgres", "objects", "tracking"])
    def test_heals_and_nothing_acknowledged_is_lost(
        self, user: User, daemon: docker.DockerClient, stack: str, service: str
    ) -> None:
        state = user.state(stack)
        state.unlink(missing_ok=True)
        state.with_suffix(".stop").unlink(missing_ok=True)
        client = user.start_client("log", stack)

        def acknowledged() -> int:
            return len(json.loads(state.read_text())["acknowledged"]) if state.exists() else 0

        until(lambda: acknowledged() >= 10, seconds=60, what="the client logs")
        before = lives(daemon, stack)[service]
        kill_main_process(daemon, stack, service)
        until(
            lambda: lives(daemon, stack)[service] != before,
            seconds=30, what=f"{service} was started again",
        )  # fmt: skip
        at_kill = acknowledged()
        until(lambda: acknowledged() >= at_kill + 10, seconds=90, what="the client goes on")
        state.with_suffix(".stop").touch()
        output, _ = client.communicate(timeout=120)
        assert client.returncode == 0, output[-3000:]
        until(
            lambda: user.show(stack)["state"] == "running",
            seconds=60, what="every service is healthy again",
        )  # fmt: skip


class TestFailedStarts:
    def test_first_start_that_fails_leaves_nothing(
        self, person: User, daemon: docker.DockerClient, name: str
    ) -> None:
        done = person.run(*words("scenario-5", name, "--set", WITHOUT_MLFLOW))
        assert done.returncode == 3
        assert "stackctl: service" in done.stderr
        assert "last log lines" in done.stderr
        nothing_is_left(person, daemon, name)

    def test_service_that_needs_more_memory_says_so(
        self, person: User, daemon: docker.DockerClient, name: str
    ) -> None:
        done = person.run(*words("scenario-3b", name, "--set", "memory.tracking=20m",
                                 "--timeout", "30"))  # fmt: skip
        assert done.returncode == 3
        assert "--set memory.tracking=SIZE" in done.stderr
        nothing_is_left(person, daemon, name)

    def test_setting_that_is_not_repeated_is_told(self, person: User, name: str) -> None:
        deploy = words("scenario-3b", name)
        person.ok(*deploy, "--set", "workers=1")
        assert "setting workers: 1 -> 2, from default" in person.run(*deploy).stderr

    def test_later_start_that_fails_puts_back_what_ran(
        self, person: User, daemon: docker.DockerClient, name: str
    ) -> None:
        good = words("scenario-3b", name)
        person.ok(*good)
        person.client("write", name)
        done = person.run(*good, "--set", WITHOUT_MLFLOW, "--timeout", "30")
        assert done.returncode == 3, done.stderr
        until(
            lambda: person.show(name)["state"] == "running",
            seconds=60, what="the stack from before runs again",
        )  # fmt: skip
        assert "stackctl-mlflow" in containers(daemon, name)["tracking"].attrs["Config"]["Image"]
        person.client("read", name)
        assert "nothing to do" in person.run(*good).stderr

    def test_image_that_cannot_be_pulled_changes_nothing(
        self, person: User, daemon: docker.DockerClient, name: str
    ) -> None:
        image = "stackctl-test/there-is-none:1"
        done = person.run(*words("scenario-5", name, "--set", f"images.postgres={image}"))
        assert done.returncode == 3
        assert image in done.stderr
        nothing_is_left(person, daemon, name)

    def test_database_with_another_password_is_explained(
        self, person: User, daemon: docker.DockerClient, name: str
    ) -> None:
        deploy = words("scenario-5", name)
        person.ok(*deploy)
        person.ok("remove", name)
        secret = person.home / ".secrets" / name / "postgres_password"
        value = secret.read_text()
        secret.write_text("another-password-than-before")
        done = person.run(*deploy, "--timeout", "40")
        assert done.returncode == 3
        assert "put that value back" in done.stderr
        assert "another-password-than-before" not in done.stderr + done.stdout
        secret.write_text(value)
        person.ok(*deploy)


class TestInterrupted:
    @pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
    def test_interrupted_deploy_leaves_nothing_and_the_next_one_works(
        self, person: User, daemon: docker.DockerClient, name: str, sent: signal.Signals
    ) -> None:
        deploy = words("scenario-5", name)
        running = person.start(*deploy)
        until(lambda: "tracking" in containers(daemon, name), seconds=60, what="it has begun")
        running.send_signal(sent)
        _, told = running.communicate(timeout=60)
        assert running.returncode == 130, told
        nothing_is_left(person, daemon, name)
        person.ok(*deploy)

    def test_deploy_that_was_killed_is_finished_by_the_next(
        self, person: User, daemon: docker.DockerClient, name: str
    ) -> None:
        deploy = words("scenario-5", name)
        running = person.start(*deploy)
        until(lambda: "postgres" in containers(daemon, name), seconds=60, what="it has begun")
        running.kill()
        running.communicate(timeout=60)
        person.ok(*deploy)
        person.client("write", name)

    @pytest.mark.parametrize(
        ("scenario", "service"), [("scenario-5", "postgres"), ("scenario-3b-mysql", "mysql")]
    )
    def test_database_killed_in_its_first_initialisation_starts_anew(
        self,
        person: User,
        daemon: docker.DockerClient,
        name: str,
        scenario: str,
        service: str,
    ) -> None:
        more = ["--set", f"browser_port={free_port()}"] if service == "mysql" else []
        deploy = words(scenario, name, *more)
        running = person.start(*deploy)

        def initialising() -> bool:
            found = containers(daemon, name).get(service)
            return found is not None and bool(found.logs())

        until(initialising, seconds=60, what=f"{service} initialises its data")
        kill_main_process(daemon, name, service)
        _, told = running.communicate(timeout=240)
        if running.returncode:
            person.ok(*deploy)
        logs = person.ok("logs", service, "--stack", name, "--tail", "1000")
        assert "initialising anew" in logs, (told, logs)
        person.client("write", name)


class TestOthers:
    def test_two_deploys_at_once_never_interleave(
        self, person: User, daemon: docker.DockerClient, name: str
    ) -> None:
        deploy = words("scenario-3b", name)
        both = [person.start(*deploy), person.start(*deploy)]
        told = [process.communicate(timeout=120)[1] for process in both]
        assert sorted(process.returncode for process in both) == [0, 3], told
        assert any("another stackctl is working" in text for text in told)
        assert person.show(name)["state"] == "running"

    def test_volume_of_a_stranger_is_refused_and_untouched(
        self, person: User, daemon: docker.DockerClient, name: str
    ) -> None:
        theirs = daemon.volumes.create(f"stackctl-{name}_postgres", labels={"whose": "theirs"})
        try:
            done = person.run(*words("scenario-5", name))
            assert done.returncode == 2
            assert f"volume stackctl-{name}_postgres" in done.stderr
            nothing_of_ours = [c for c in leftovers(daemon, name) if c != theirs.name]
            assert nothing_of_ours == []
            theirs.reload()
            assert theirs.attrs["Labels"] == {"whose": "theirs"}
        finally:
            theirs.remove()

    def test_volume_that_compose_would_make_anew_is_kept(
        self, person: User, daemon: docker.DockerClient, name: str
    ) -> None:
        """Asked whether data may be lost, Compose must never be told yes."""
        labels = {
            "com.docker.compose.project": f"stackctl-{name}",
            "com.docker.compose.volume": "objects",
            "com.docker.compose.config-hash": "of another stackctl",
            "io.stackctl.owner": Home(person.home).stack(name).owner,
        }
        before = daemon.volumes.create(f"stackctl-{name}_objects", labels=labels)
        person.ok(*words("scenario-5", name))
        # One that was made anew would have Compose's own labels.
        assert daemon.volumes.get(before.name).attrs["Labels"] == labels

    def test_copy_of_a_home_may_not_touch_the_original(
        self, person: User, daemon: docker.DockerClient, name: str, tmp_path: Path
    ) -> None:
        deploy = words("scenario-3b", name)
        person.ok(*deploy)
        person.client("write", name)
        copied = tmp_path / "copy"
        shutil.copytree(person.home, copied)
        before = lives(daemon, name)
        copy = User(copied, person.host)
        for command in (deploy, ["remove", name], ["remove", name, "--volumes", "--confirm", name]):
            done = copy.run(*command)
            assert done.returncode == 2, done.stderr
            assert "is a copy" in done.stderr
        assert lives(daemon, name) == before
        person.client("read", name)

    def test_stack_with_data_is_not_pointed_at_another_store(
        self, person: User, daemon: docker.DockerClient, name: str
    ) -> None:
        deploy = words("scenario-5", name)
        person.ok(*deploy)
        before = lives(daemon, name)
        for other in ("bucket=another", "object_store=minio"):
            done = person.run(*deploy, "--set", other)
            assert done.returncode == 2, done.stderr
            assert "would not find it" in done.stderr
        assert lives(daemon, name) == before

    def test_data_that_another_stack_uses_is_not_deleted(
        self, person: User, name: str, stack_name: Callable[[], str]
    ) -> None:
        first = stack_name()
        person.ok(*words("scenario-2", first))
        folder = person.home / "data" / first
        person.ok(*words("scenario-3b", name, "--set", f"data={folder}"))
        person.client("write", name)
        done = person.run("remove", first, "--volumes", "--confirm", first)
        assert done.returncode == 2
        assert name in done.stderr
        person.client("read", name)
        person.ok("remove", name, "--volumes", "--confirm", name)
        assert (folder / "mlruns.db").exists()
        person.ok("remove", first, "--volumes", "--confirm", first)
        assert not folder.exists()

    def test_data_folder_that_vanished_is_not_made_anew(
        self, person: User, daemon: docker.DockerClient, name: str
    ) -> None:
        deploy = words("scenario-3b", name)
        person.ok(*deploy)
        person.ok("remove", name)
        folder = person.home / "data" / name
        folder.rename(folder.with_name("not mounted"))
        done = person.run(*deploy)
        assert done.returncode == 2
        assert "is gone" in done.stderr
        assert not folder.exists()
        folder.with_name("not mounted").rename(folder)
        person.ok(*deploy)

    def test_same_name_from_another_home_is_refused(
        self, person: User, daemon: docker.DockerClient, name: str, tmp_path: Path
    ) -> None:
        person.ok(*words("scenario-3b", name))
        before = lives(daemon, name)
        done = User(tmp_path, person.host).run(*words("scenario-3b", name))
        assert done.returncode == 2
        assert str(person.home) in done.stderr
        assert lives(daemon, name) == before
        assert list(tmp_path.iterdir()) == []

    def test_port_of_another_stack_names_it(
        self, person: User, daemon: docker.DockerClient, name: str, stack_name: Callable[[], str]
    ) -> None:
        first = words("scenario-3b", name)
        person.ok(*first)
        second = stack_name()
        done = person.run("deploy", "scenario-3b", "--name", second, "--port", first[-1])
        assert done.returncode == 3
        assert f"port {first[-1]}" in done.stderr
        assert f"stack {name!r}" in done.stderr
        nothing_is_left(person, daemon, second)

    def test_remove_of_what_does_not_exist(self, person: User) -> None:
        done = person.run("remove", "there-is-none")
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1

    def test_remove_with_volumes_spares_a_folder_that_stackctl_did_not_make(
        self, person: User, daemon: docker.DockerClient, name: str, tmp_path: Path
    ) -> None:
        (tmp_path / "thesis.txt").write_text("mine")
        person.ok(*words("scenario-3b", name, "--set", f"data={tmp_path}"))
        person.client("write", name)
        person.ok("remove", name, "--volumes", "--confirm", name)
        assert (tmp_path / "thesis.txt").read_text() == "mine"
        assert (tmp_path / "mlruns.db").exists()
        assert leftovers(daemon, name) == []

    def test_moved_home_still_owns_its_volumes(
        self, person: User, daemon: docker.DockerClient, name: str, tmp_path: Path
    ) -> None:
        deploy = words("scenario-5", name)
        person.ok(*deploy)
        person.client("write", name)
        moved = tmp_path / "moved"
        shutil.copytree(person.home, moved)
        shutil.rmtree(person.home / ".stackctl" / name)
        shutil.rmtree(person.home / ".secrets" / name)
        elsewhere = User(moved, person.host)
        elsewhere.ok(*deploy)
        elsewhere.client("read", name)
        elsewhere.ok("remove", name, "--volumes", "--confirm", name)
        assert leftovers(daemon, name) == []

    def test_logs_and_doctor_of_a_running_stack(self, person: User, name: str) -> None:
        person.ok(*words("scenario-3b", name))
        assert "Uvicorn running" in person.ok("logs", "tracking", "--stack", name)
        follow = person.start("logs", "--stack", name, "-f")
        assert follow.stdout is not None
        assert follow.stdout.readline()
        follow.send_signal(signal.SIGINT)
        assert follow.wait(timeout=30) == 130
        findings = json.loads(person.ok("doctor", "--json"))
        own = [f for f in findings if f["subject"].startswith("port ") and name in f["subject"]]
        assert [f["told"] for f in own] == ["the stack's own"]
        assert {f["subject"] for f in findings} >= {"Docker daemon", "Compose", "memory", "clock"}
