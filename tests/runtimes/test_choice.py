"""Which runtime a stack is on, or will be, and why."""

from pathlib import Path

import pytest

from stackctl import scenarios
from stackctl.errors import MachineError, UserError
from stackctl.render import ProcessHost
from stackctl.runtimes.choice import Choice, choose, for_files, runtime_of
from stackctl.runtimes.docker.runtime import Docker
from stackctl.runtimes.embedded.runtime import Embedded
from stackctl.stack import Home, Manifest
from tests.bundles import effective


def choice(home: Home, name: str = "scenario-5", *flags: str) -> Choice:
    return choose(home.stack("one"), scenarios.load(name), effective(name, "name=one", *flags))


def deployed(home: Home, name: str, runtime: str, status: str = "deployed") -> None:
    manifest = Manifest("one", name, runtime, "owner", status, deployed_at="2026-11-21T10:00:00")
    home.stack("one").save(manifest)


def test_without_a_daemon_services_are_processes_and_the_reason_names_the_host(home: Home) -> None:
    chosen = choice(home)
    assert isinstance(chosen.runtime, Embedded)
    assert str(chosen).startswith(
        "runtime embedded: no Docker daemon answers at unix:///nonexistent/docker.sock"
    )


def test_where_a_daemon_answers_services_are_containers(
    home: Home, daemon: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{daemon}")
    chosen = choice(home)
    assert isinstance(chosen.runtime, Docker)
    assert str(chosen) == f"runtime docker: a Docker daemon answers at unix://{daemon}"


@pytest.mark.usefixtures("no_mlflow")
def test_where_neither_can_be_used_both_reasons_are_told(home: Home) -> None:
    with pytest.raises(MachineError, match=r"no Docker daemon .*, and there is no mlflow") as error:
        choice(home)
    assert error.value.hint.startswith("install it; or start Docker")


@pytest.mark.parametrize(("runtime", "kind"), [("docker", Docker), ("embedded", Embedded)])
def test_a_runtime_that_is_asked_for_is_taken_or_says_why_it_cannot_be(
    home: Home, daemon: Path, runtime: str, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{daemon}")
    chosen = choice(home, "scenario-5", f"runtime={runtime}")
    assert isinstance(chosen.runtime, kind)
    assert chosen.why == "chosen by --set"
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    if runtime == "docker":
        with pytest.raises(MachineError, match="no Docker daemon answers"):
            choice(home, "scenario-5", "runtime=docker")


@pytest.mark.usefixtures("no_mlflow")
def test_a_daemon_is_no_substitute_for_what_was_asked_for(
    home: Home, daemon: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{daemon}")
    with pytest.raises(MachineError, match="there is no mlflow; install it"):
        choice(home, "scenario-5", "runtime=embedded")


@pytest.mark.parametrize("status", ["deployed", "deploying", "removed"])
@pytest.mark.parametrize("flags", [(), ("runtime=embedded",)])
def test_a_stack_stays_where_it_is(
    home: Home, daemon: Path, status: str, flags: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{daemon}")
    deployed(home, "scenario-5", "embedded", status)
    chosen = choice(home, "scenario-5", *flags)
    assert isinstance(chosen.runtime, Embedded)
    assert chosen.why == "the stack was deployed there"


def test_a_stack_on_docker_does_not_become_processes_while_the_daemon_is_away(home: Home) -> None:
    deployed(home, "scenario-5", "docker")
    with pytest.raises(MachineError, match="no Docker daemon answers"):
        choice(home)


@pytest.mark.parametrize("status", ["deployed", "removed"])
@pytest.mark.parametrize("name", ["scenario-5", "scenario-3b-mysql", "scenario-5-mysql"])
def test_another_runtime_is_refused_where_data_would_not_be_found(
    home: Home, name: str, status: str
) -> None:
    deployed(home, name, "docker", status)
    with pytest.raises(UserError, match="stack 'one' is on runtime docker") as error:
        choice(home, name, "runtime=embedded")
    assert "would not be found on embedded (from --set)" in error.value.message
    assert error.value.hint.startswith("deploy with --runtime docker, or as another stack")


@pytest.mark.parametrize("status", ["deployed", "deploying"])
def test_local_stores_go_to_another_runtime_only_when_nothing_runs_on_the_first(
    home: Home, status: str
) -> None:
    deployed(home, "scenario-3b", "docker", status)
    with pytest.raises(UserError, match="is on runtime docker, not on embedded") as error:
        choice(home, "scenario-3b", "runtime=embedded")
    assert error.value.hint.startswith("to take it there, first run: stackctl remove one")


@pytest.mark.parametrize("name", ["scenario-1", "scenario-2", "scenario-3a", "scenario-3b"])
def test_local_stores_may_go_to_another_runtime_once_the_stack_is_removed(
    home: Home, name: str
) -> None:
    deployed(home, name, "docker", "removed")
    assert isinstance(choice(home, name, "runtime=embedded").runtime, Embedded)


def test_a_runtime_of_another_version_is_told(home: Home) -> None:
    deployed(home, "scenario-5", "podman")
    for ask in (lambda: runtime_of(home.stack("one").require_manifest()), lambda: choice(home)):
        with pytest.raises(UserError, match="on runtime 'podman', which this stackctl") as error:
            ask()
        assert error.value.hint == "use the version that deployed it"


@pytest.mark.parametrize("runtime", ["auto", "docker", "embedded"])
def test_files_are_rendered_without_asking_a_daemon(home: Home, runtime: str) -> None:
    wanted = effective("scenario-5", f"runtime={runtime}")
    found = for_files(runtime).host(home.stack("one"), scenarios.load("scenario-5"), wanted)
    assert isinstance(found, ProcessHost) == (runtime == "embedded")
    assert list(home.path.iterdir()) == []
