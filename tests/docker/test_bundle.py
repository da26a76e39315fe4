"""Smoke test through testcontainers: the rendered files need no stackctl to run."""

import shutil
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import docker
import pytest
from testcontainers.compose import DockerCompose

from stackctl.runtimes import compose
from tests.docker.conftest import remove_project
from tests.docker.driving import User, free_port, project_of


@pytest.fixture
def plugin(user: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`docker compose`, from the binary that the development environment has."""
    folder = tmp_path / "docker" / "cli-plugins"
    folder.mkdir(parents=True)
    binary = folder / "docker-compose"
    shutil.copy(Path(sys.executable).with_name("docker-compose"), binary)
    monkeypatch.setenv("DOCKER_CONFIG", str(folder.parent))
    monkeypatch.setenv("DOCKER_HOST", user.host)
    return binary


def test_the_plugin_is_preferred(plugin: Path) -> None:
    compose.find.cache_clear()
    try:
        assert compose.find().command[1:] == ("compose",)
    finally:
        compose.find.cache_clear()


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize("scenario", ["scenario-3b", "scenario-5"])
def test_rendered_files_run_without_stackctl(
    user: User,
    daemon: docker.DockerClient,
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
        remove_project(daemon, project_of(name))
