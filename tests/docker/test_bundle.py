"""Smoke test through testcontainers: the rendered files need no stackctl to run."""

import shutil
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from testcontainers.compose import DockerCompose

from stackctl.runtimes.docker import compose
from tests.contract.driving import User, free_port
from tests.docker.machine import DockerMachine, project_of


@pytest.fixture
def plugin(machine: DockerMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`docker compose`, from the binary that the development environment has."""
    folder = tmp_path / "docker" / "cli-plugins"
    folder.mkdir(parents=True)
    binary = folder / "docker-compose"
    shutil.copy(Path(sys.executable).with_name("docker-compose"), binary)
    monkeypatch.setenv("DOCKER_CONFIG", str(folder.parent))
    monkeypatch.setenv("DOCKER_HOST", machine.host)
    return binary


def test_the_plugin_is_preferred(plugin: Path) -> None:
    compose.find.cache_clear()
    try:
        assert compose.find().command[1:] == ("compose",)
    finally:
        compose.find.cache_clear()


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    "scenario", [pytest.param("scenario-3b", marks=pytest.mark.matrix), "scenario-5"]
)
def test_rendered_files_run_without_stackctl(
    machine: DockerMachine,
    user: User,
    stack_name: Callable[[], str],
    tmp_path: Path,
    scenario: str,
) -> None:
    name, port, bundle = stack_name(), free_port(), tmp_path / "bundle"
    user.ok("secrets", "init", scenario, "--name", name)
    (user.home / "data" / name / "mlruns").mkdir(parents=True)
    words = [scenario, "--name", name, "--port", str(port)]
    user.ok("render", *words, "--output", str(bundle))
    try:
        with DockerCompose(bundle, compose_file_name="compose.yaml", wait=True):
            url = f"http://127.0.0.1:{port}/api/2.0/mlflow/experiments/search?max_results=1"
            with urllib.request.urlopen(url, timeout=30) as answer:
                assert b'"experiments"' in answer.read()
    finally:
        machine.remove_project(project_of(name))
