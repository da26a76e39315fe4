"""The command line as a whole: help, version, imports, exit codes, one line for a failure."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import stackctl as package
from stackctl.stack import Home, Manifest
from stackctl.versions import MLFLOW
from tests.bundles import NAMES, tool
from tests.conftest import Call

COMMANDS = [
    "scenarios", "render", "plan", "deploy", "show", "env", "open", "trust", "example",
    "smoke", "logs", "remove", "restore", "drill", "promote", "gc", "upgrade", "doctor", "grant",
    "revoke", "config", "backup", "secrets", "users", "roles",
]  # fmt: skip
HEAVY = [
    "mlflow",
    "pandas",
    "docker",
    "pydantic",
    "rich",
    "jinja2",
    "botocore",
    "requests",
    "psutil",
]


def test_help_names_every_command(stackctl: Call) -> None:
    answer = stackctl("--help")
    assert (answer.code, answer.err) == (0, "")
    listed = answer.out[answer.out.index("Commands:") :].splitlines()[1:]
    assert [
        line.split()[0] for line in listed if line.startswith("  ") and line[2] != " "
    ] == COMMANDS
    assert stackctl("-h").out == answer.out


@pytest.mark.parametrize(
    "words",
    [
        *[(c,) for c in COMMANDS],
        *[("secrets", sub) for sub in ("init", "list", "check")],
        *[("backup", sub) for sub in ("list", "verify")],
        *[("config", sub) for sub in ("set", "unset", "edit")],
    ],
    ids=" ".join,
)
def test_every_command_has_help(stackctl: Call, words: tuple[str, ...]) -> None:
    answer = stackctl(*words, "--help")
    assert (answer.code, answer.err) == (0, "")
    assert re.match(rf"Usage: .* {' '.join(words)} \[OPTIONS\]", answer.out)


@pytest.mark.parametrize("words", [(), ("secrets",)])
def test_without_a_command_help_is_the_answer(stackctl: Call, words: tuple[str, ...]) -> None:
    answer = stackctl(*words)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("Usage: ")
    assert "Commands:" in answer.err


def test_version_as_a_module_and_as_a_program(stackctl_process: Call) -> None:
    answer = stackctl_process("--version")
    assert (answer.code, answer.out) == (0, f"stackctl {package.__version__}, MLflow {MLFLOW}\n")
    program = subprocess.run(
        [tool("stackctl"), "--version"], capture_output=True, text=True, check=True
    )
    assert program.stdout == answer.out


@pytest.mark.parametrize(
    ("words", "more"),
    [
        (["--help"], []),
        # Typer itself asks pydantic how to describe some options.
        (["plan", "--help"], ["pydantic"]),
        (["--version"], []),
        (["scenarios", "scenario-5"], ["pydantic"]),
        (["config"], ["pydantic", "rich"]),
        (["render", "scenario-5"], ["pydantic", "jinja2"]),
        (["show"], ["pydantic", "jinja2"]),
    ],
    ids=" ".join,
)
def test_nothing_heavy_is_imported_before_it_is_needed(
    home: Home, words: list[str], more: list[str]
) -> None:
    source = (
        "import sys, json\n"
        f"sys.argv = ['stackctl', *{words!r}]\n"
        "from stackctl.cli import main\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        f"print(json.dumps([m for m in {HEAVY!r} if m in sys.modules]), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=True, cwd=home.path
    )
    assert set(json.loads(done.stderr.splitlines()[-1])) <= set(more)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["frobnicate"], "No such command 'frobnicate'; see --help"),
        (["deploy"], "stackctl.toml names no stack; run: stackctl deploy SCENARIO"),
        (["deploy", "scenario-5", "extra"], "Got unexpected extra argument"),
        (["config", "--nope"], "No such option: --nope"),
        (["scenarios", "scenario-5", "--format", "png"], "'png' is not one of 'text', 'mermaid'"),
        (["env", "--format", "xml"], "'xml' is not one of"),
        (["deploy", "scenario-5", "--timeout", "0"], "Invalid value for '--timeout'"),
        (["--home", "/nowhere", "scenarios"], "home folder '/nowhere' does not exist; create it"),
        (["config", "scenaro-5"], "there is no scenario 'scenaro-5'; did you mean 'scenario-5'?"),
        (["scenarios", "scenaro-5"], "there is no scenario 'scenaro-5'; did you mean 'scenario-5'"),
        (
            ["config", "--set", "prot=1"],
            "no setting 'prot' (from --set); did you mean 'port'?",
        ),
        (["config", "--set", "port"], "'port' has no '='"),
        (["show", "nope"], "there is no stack 'nope'"),
        (["env"], "no stack was deployed from"),
        (["logs"], "no stack was deployed from"),
        (["remove"], "no stack was deployed from"),
        (["remove", "nope"], "there is no stack 'nope'"),
        (["remove", "nope", "--volumes", "--confirm", "nope"], "there is no stack 'nope'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line_and_exit_code_2(
    stackctl: Call, home: Home, words: list[str], told: str
) -> None:
    answer = stackctl(*words)
    assert (answer.code, answer.out) == (2, "")
    assert answer.err.startswith("stackctl: ")
    assert told in answer.err
    assert len(answer.err.splitlines()) == 1
    assert list(home.path.iterdir()) == []


NAME_JUNK = ["", "a/b", "a b", "Upper", "x" * 200, ";rm -rf", "a\nb", "../x", "-x", "$(id)"]
JUNK = [
    *[("--name", name) for name in NAME_JUNK],
    *[("--set", f"name={name}") for name in NAME_JUNK],
    *[("--port", port) for port in ("0", "70000", "abc", "-1", "")],
    *[("--set", f"public_hosts={host}") for host in ("http://a", "a b", "a/b", "a:0", "a\nb")],
    ("--set", "runtime=podman"),
    ("--set", "runtime="),
    ("--set", "bind=0.0.0.0"),
    ("--set", "bind=192.168.1.5"),
    ("--set", "bind=localhost"),
    ("--set", "nonsense=1"),
    ("--set", "memory.tracking\n=1"),
    ("--set", "images.x\ny=1"),
    ("--set", "data=a\nb"),
]


@pytest.mark.parametrize("junk", JUNK, ids=lambda pair: f"{pair[0]} {pair[1]!r:.40}")
def test_bad_values_are_refused_and_nothing_is_written(
    stackctl: Call, home: Home, junk: tuple[str, str]
) -> None:
    for command in ("deploy", "plan", "render", "config", "secrets init"):
        if junk[0] == "--port" and command == "secrets init":
            continue
        answer = stackctl(*command.split(), "scenario-5", *junk)
        assert (answer.code, answer.out) == (2, ""), command
        assert answer.err.startswith("stackctl: "), command
        assert len(answer.err.splitlines()) == 1, command
    assert list(home.path.iterdir()) == []


@pytest.mark.parametrize("command", ["deploy", "plan", "render"])
@pytest.mark.parametrize("runtime", ["podman", "", "Docker"])
def test_a_runtime_that_does_not_exist_is_refused(
    stackctl: Call, home: Home, command: str, runtime: str
) -> None:
    answer = stackctl(command, "scenario-5", "--runtime", runtime)
    assert (answer.code, answer.out) == (2, "")
    assert f"setting runtime={runtime!r} (from --set): " in answer.err
    assert len(answer.err.splitlines()) == 1
    assert list(home.path.iterdir()) == []


@pytest.mark.parametrize("layer", ["environment", "dotenv"])
def test_a_bad_value_names_the_layer_it_came_from(
    stackctl: Call, home: Home, layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if layer == "environment":
        monkeypatch.setenv("STACKCTL_PORT", "70000")
    else:
        home.dotenv.write_text("STACKCTL_PORT=70000\n")
    source = {"environment": "environment STACKCTL_PORT", "dotenv": str(home.dotenv)}[layer]
    answer = stackctl("render", "scenario-5", "-o", "out")
    assert answer.code == 2
    assert f"setting port='70000' (from {source})" in answer.err
    assert not (home.path / "out").exists()


def test_two_services_with_one_port_are_refused(stackctl: Call, home: Home) -> None:
    answer = stackctl("render", "scenario-6", "-o", "out", "--set", "artifacts_port=5006")
    assert (answer.code, len(answer.err.splitlines())) == (2, 1)
    assert "setting artifacts_port=5006 (from --set): port has the same port" in answer.err
    assert list(home.path.iterdir()) == []


# The machine.


@pytest.mark.parametrize("command", ["plan", "deploy"])
def test_without_a_daemon_it_is_the_machines_fault(
    stackctl: Call, home: Home, command: str
) -> None:
    answer = stackctl(command, "scenario-5", "--runtime", "docker")
    assert (answer.code, answer.out) == (3, "")
    assert answer.err == (
        "stackctl: no Docker daemon answers at unix:///nonexistent/docker.sock: nothing listens "
        "there; start Docker, or set DOCKER_HOST to a daemon that runs\n"
    )
    assert list(home.path.iterdir()) == []


@pytest.mark.parametrize(
    ("code", "words"), [(1, ["--detailed-exitcode"]), (3, [])], ids=["detailed", "plain"]
)
def test_a_plan_for_scripts_has_its_own_exit_code_for_errors(
    stackctl: Call, code: int, words: list[str]
) -> None:
    """2 would mean that there is something to do."""
    assert stackctl("plan", "scenario-5", "--runtime", "docker", *words).code == code


def test_no_right_on_the_socket_is_told(
    stackctl_process: Call, daemon: Path, without_privileges: tuple[str, ...]
) -> None:
    daemon.chmod(0)
    answer = stackctl_process(
        "plan", "scenario-5", "--runtime", "docker",
        under=without_privileges, DOCKER_HOST=f"unix://{daemon}",
    )  # fmt: skip
    assert (answer.code, answer.out) == (3, "")
    assert answer.err == (
        f"stackctl: this user may not use the Docker daemon at unix://{daemon} (permission denied)"
        "; add the user to the group `docker` and log in again, or use rootless Docker\n"
    )


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("", "no Compose was found: neither `docker compose` nor `docker-compose`"),
        ("2.10.0", "docker-compose 2.10.0; stackctl needs 2.20 or newer"),
    ],
    ids=["none", "too old"],
)
def test_compose_that_is_missing_or_too_old_is_told(
    home: Home, daemon: Path, tmp_path: Path, version: str, told: str
) -> None:
    """With a Python that has no docker-compose beside it, and a PATH with at most an old one."""
    python = tmp_path / "bare" / "python3"
    python.parent.mkdir()
    python.symlink_to(Path(sys.executable).resolve())
    (tmp_path / "path").mkdir()
    if version:
        script = tmp_path / "path" / "docker-compose"
        script.write_text(f"#!/bin/sh\necho {version}\n")
        script.chmod(0o755)
    done = subprocess.run(
        [str(python), "-m", "stackctl", "plan", "scenario-5"],
        capture_output=True, text=True, check=False, timeout=60, cwd=home.path,
        env={
            "PATH": str(tmp_path / "path"), "PYTHONPATH": os.pathsep.join(sys.path),
            "DOCKER_HOST": f"unix://{daemon}",
        },
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert list(home.path.iterdir()) == []


# A bug, and an interruption.


def test_a_damaged_manifest_is_one_line(stackctl: Call, home: Home) -> None:
    home.stack("one").save(Manifest("one", "scenario-5", "docker", "owner"))
    (home.stack("one").folder / "manifest.json").write_text("{")
    for words in (("show",), ("env", "one"), ("remove", "one")):
        answer = stackctl(*words)
        assert (answer.code, answer.out) == (3, "")
        assert "manifest.json is damaged" in answer.err
        assert len([line for line in answer.err.splitlines() if "states are" not in line]) == 1


def test_debug_shows_the_traceback(stackctl_process: Call) -> None:
    answer = stackctl_process("--debug", "config", "scenaro-5")
    assert answer.code == 1
    assert answer.err.startswith("Traceback ")
    assert "UnknownName: there is no scenario 'scenaro-5'" in answer.err


def test_a_reader_that_goes_away_gets_no_traceback(home: Home) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "stackctl", "render", "scenario-6"],
            stdout=writer, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
            cwd=home.path,
        )  # fmt: skip
    finally:
        os.close(writer)
    assert done.stderr == ""
    assert done.returncode in (0, 1)


# Completion.


def completed(home: Home, line: str) -> list[str]:
    """What a bash offers after `line`."""
    done = subprocess.run(
        [tool("stackctl")], capture_output=True, text=True, check=False, cwd=home.path, timeout=60,
        env=os.environ | {
            "_STACKCTL_COMPLETE": "complete_bash", "COMP_WORDS": line,
            "COMP_CWORD": str(len(line.split(" ")) - 1),
        },
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


def test_completion_knows_scenarios_stacks_and_settings(home: Home) -> None:
    home.scenarios.mkdir()
    (home.scenarios / "mine.toml").write_text("nothing that can be read")
    for name in ("alpha", "beta"):
        home.stack(name).save(Manifest(name, "scenario-5", "docker", "owner"))
    home.settings_file.write_text('[stacks.gamma]\nscenario = "mine"\n')
    stacks = ["alpha", "beta", "gamma"]
    assert completed(home, "stackctl deploy ") == [*sorted([*NAMES, "mine"]), *stacks]
    assert completed(home, "stackctl config set ") == stacks
    assert completed(home, "stackctl deploy scenario-5") == ["scenario-5", "scenario-5-mysql"]
    assert completed(home, "stackctl scenarios m") == ["mine"]
    assert completed(home, "stackctl show ") == ["alpha", "beta"]
    assert completed(home, "stackctl remove al") == ["alpha"]
    assert set(completed(home, "stackctl deploy scenario-5 --set object")) == {
        "object_store=", "object_store_endpoint=", "object_store_port=",
    }  # fmt: skip
