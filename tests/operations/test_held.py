"""The one door to a stack: what every command finds out before it does anything."""

import ast
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

import stackctl as package
from stackctl.errors import Busy
from stackctl.operations.held import admit, held, visited
from tests.conftest import Answer, Call
from tests.operations.machine import files
from tests.operations.stage import Stage

SOURCE = Path(package.__file__).parent
DOOR = SOURCE / "operations" / "held.py"
# Of `Stack`: what only the door may do.
KEPT = {"locked", "save", "forget"}


def uses(path: Path) -> list[str]:
    """Calls of the kept methods on a stack's record."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr in KEPT:
            owner = ast.unparse(node.value)
            if owner == "stack" or owner.endswith(".stack"):
                found.append(f"{path.relative_to(SOURCE)}:{node.lineno}: {owner}.{node.attr}")
    return found


def test_only_the_door_takes_the_lock_and_writes_the_manifest() -> None:
    assert uses(DOOR), "the door itself is found"
    elsewhere = [use for path in SOURCE.rglob("*.py") if path != DOOR for use in uses(path)]
    assert elsewhere == []


def test_a_door_that_was_opened_in_vain_leaves_no_trace(stage: Stage) -> None:
    with held(stage.wanted("scenario-3b", "name=x"), new=True) as door:
        assert door.known is None
        assert door.deployment.stack.folder.is_dir()
    assert list(stage.home.path.iterdir()) == []
    stage.deployed("scenario-3b", "name=y")
    with pytest.raises(ZeroDivisionError), held(stage.wanted("scenario-2", "name=x"), new=True):
        _ = 1 / 0
    assert [path.name for path in (stage.home.path / ".stackctl").iterdir()] == ["y"]


def test_what_a_killed_process_left_running_ends_before_anything_else(stage: Stage) -> None:
    x = stage.deployed("scenario-3b", "name=x")
    with held(x) as door:
        assert stage.machine.story == ["sweep"]
        assert door.known == door.manifest == x.stack.manifest()
    stage.begin()
    # Whoever has to do with files alone needs no daemon.
    with held(x, services=False):
        assert stage.machine.story == []


def test_nobody_comes_in_while_somebody_is(stage: Stage) -> None:
    x = stage.deployed("scenario-3b", "name=x")
    with held(x):
        with pytest.raises(Busy, match="another stackctl is working on stack 'x'"), held(x):
            raise AssertionError("two are inside")
        # Nobody is kept from looking.
        assert admit(x) == visited(x) == x.stack.manifest()


def test_the_door_is_open_again_whatever_happened_behind_it(stage: Stage) -> None:
    x = stage.deployed("scenario-3b", "name=x")
    with pytest.raises(ZeroDivisionError), held(x):
        _ = 1 / 0
    with held(x) as door:
        assert door.manifest.status == "deployed"


# Every command at a stack `x` that holds two runs, in every state in which it may be.

OLD = ("--set", "mlflow_version=3.16.0", "--set", "auth=basic")
COMMANDS: dict[str, list[str]] = {
    "plan": ["scenario-3b", "--name", "x", *OLD],
    "deploy": ["scenario-3b", "--name", "x", *OLD],
    "show": ["x"],
    "env": ["x"],
    "logs": ["--stack", "x"],
    "open": ["x"],
    "trust": ["x"],
    "users list": ["--stack", "x"],
    "users add": ["ada", "--stack", "x"],
    "users passwd": ["ada", "--stack", "x"],
    "users remove": ["ada", "--stack", "x"],
    "users show": ["ada", "--stack", "x"],
    "users import": ["../people.csv", "--stack", "x"],
    "roles list": ["--stack", "x"],
    "roles add": ["readers", "--stack", "x"],
    "roles remove": ["readers", "--stack", "x"],
    "roles show": ["readers", "--stack", "x"],
    "roles grant": ["readers", "READ", "experiment", "e", "--stack", "x"],
    "roles revoke": ["readers", "experiment", "e", "--stack", "x"],
    "roles assign": ["readers", "ada", "--stack", "x"],
    "roles unassign": ["readers", "ada", "--stack", "x"],
    "grant": ["ada", "READ", "experiment", "e", "--stack", "x"],
    "revoke": ["ada", "experiment", "e", "--stack", "x"],
    "smoke": ["x"],
    "example": ["quickstart", "x"],
    "gc": ["x"],
    "gc --yes": ["x"],
    "backup": ["x", "-o", "new.tar"],
    "restore": ["../a.tar", "--name", "x"],
    "restore --replace": ["../a.tar", "--name", "x"],
    "promote": ["--from-folder", "../theirs", "--to", "scenario-3b", "--name", "x", *OLD],
    "promote x": ["--to", "scenario-2", "--name", "y", *OLD[:2]],
    "promote x --dry-run": ["--to", "scenario-2", "--name", "y", *OLD[:2]],
    "drill": ["../a.tar"],
    "upgrade": ["x", "-o", "second.tar"],
    "upgrade --dry-run": ["x"],
    "secrets init": ["scenario-3b", "--name", "x", *OLD],
    "secrets rotate": ["--stack", "x"],
    "remove": ["x"],
    "remove --volumes": ["x", "--confirm", "x"],
}
# These look at no stack of the machine.
ELSEWHERE = {"scenarios", "config show", "config set", "config unset", "config edit", "render",
             "doctor", "backup list", "backup verify", "backup prune", "secrets list",
             "secrets check"}  # fmt: skip

# `.`: it is done; `-`: it would ask the server, as it does of a stack that runs; else
# what it says, as MEANING has it.
TABLE = """
                     runs    copied  never   busy    theirs  stopped removed killed  restoring promoting upgrading rotating
plan                 .       copy    .       .       .       .       .       .       half      half      half      cut
deploy               .       copy    .       busy    theirs  .       .       .       half      half      half      cut
show                 .       .       none    .       .       .       .       .       .         .         .         .
env                  .       copy    none    .       .       .       .       .       .         .         .         .
logs                 .       copy    none    .       .       .       .       .       .         .         .         .
open                 -       copy    none    -       -       down    down    down    down      down      down      -
trust                own     copy    none    own     own     own     own     own     own       own       own       own
users list           -       copy    none    -       -       down    down    down    down      down      down      -
users add            -       copy    none    -       -       down    down    down    down      down      down      -
users passwd         -       copy    none    -       -       down    down    down    down      down      down      -
users remove         -       copy    none    -       -       down    down    down    down      down      down      -
users show           -       copy    none    -       -       down    down    down    down      down      down      -
users import         -       copy    none    -       -       down    down    down    down      down      down      -
roles list           -       copy    none    -       -       down    down    down    down      down      down      -
roles add            -       copy    none    -       -       down    down    down    down      down      down      -
roles remove         -       copy    none    -       -       down    down    down    down      down      down      -
roles show           -       copy    none    -       -       down    down    down    down      down      down      -
roles grant          -       copy    none    -       -       down    down    down    down      down      down      -
roles revoke         -       copy    none    -       -       down    down    down    down      down      down      -
roles assign         -       copy    none    -       -       down    down    down    down      down      down      -
roles unassign       -       copy    none    -       -       down    down    down    down      down      down      -
grant                -       copy    none    -       -       down    down    down    down      down      down      -
revoke               -       copy    none    -       -       down    down    down    down      down      down      -
smoke                -       copy    none    -       -       down    down    down    down      down      down      -
example              -       copy    none    -       -       down    down    down    down      down      down      -
gc                   .       copy    none    busy    theirs  down    down    down    half      half      half      cut
gc --yes             .       copy    none    busy    theirs  down    down    down    half      half      half      cut
backup               .       copy    none    busy    theirs  down    down    down    half      half      half      cut
restore              data    copy    .       busy    theirs  down    down    .       .         half      half      cut
restore --replace    .       copy    .       busy    theirs  down    down    .       .         half      half      cut
promote              data    copy    .       busy    theirs  down    down    .       half      .         half      cut
promote x            .       copy    none    busy    theirs  down    down    down    half      half      half      cut
promote x --dry-run  .       copy    none    busy    theirs  down    down    down    half      half      half      cut
drill                .       .       .       .       .       .       .       .       .         .         .         .
upgrade              .       copy    none    busy    theirs  .       .       .       half      half      .         cut
upgrade --dry-run    .       copy    none    busy    theirs  down    down    down    half      half      half      cut
secrets init         .       copy    .       busy    theirs  .       .       .       half      half      half      cut
secrets rotate       .       copy    none    busy    theirs  down    down    down    half      half      half      .
remove               .       copy    none    busy    theirs  .       .       .       .         .         .         .
remove --volumes     .       copy    none    busy    theirs  .       .       .       .         .         .         .
"""  # noqa: E501 - one line for each command
MEANING = {
    "copy": (2, "is a copy: stack 'x' belongs to"),
    "none": (2, "there is no stack 'x'"),
    "busy": (3, "another stackctl is working on stack 'x'"),
    "theirs": (2, "stack 'x' was deployed by"),
    "data": (2, "stack 'x' holds data"),
    "own": (2, "stack 'x' has no authority of its own"),
    "half": (2, "run"),
    "down": (3, "so nothing can use it"),
    "cut": (2, "of stack 'x' was cut short"),
}


# How the states differ that an interrupted operation leaves.
HALF = {
    "restoring": "the data of stack 'x' is half restored; run the same stackctl restore again",
    "promoting": "the data of stack 'x' is half promoted; run the same stackctl promote again",
    "upgrading": "an upgrade of stack 'x' was interrupted; run: stackctl upgrade x",
}


# Which command was killed, at what, and what else was typed.
DEATHS: dict[str, tuple[str, ...]] = {
    "killed": ("deploy", "create tracking"),
    "restoring": ("restore --replace", "clear artifacts"),
    "promoting": ("promote", "rows-in"),
    "upgrading": ("upgrade", "upgrade", "-o", "first.tar"),
    "rotating": ("secrets rotate", "password-login"),
}


def words(command: str) -> list[str]:
    """What a user types."""
    names = [part for part in command.split() if part != "x" and not part.startswith("--")]
    options = [part for part in command.split() if part.startswith("--")]
    origin = ["x"] if " x" in command else []
    return [*names, *origin, *COMMANDS[command], *options]


def prepared(stage: Stage, call: Call, state: str) -> None:
    """Bring stack `x` into a state."""
    name = "z" if state in ("promoting", "killed") else "x"
    port = "port=5999" if name == "z" else "port=5003"
    stage.archived(stage.deployed("scenario-3b", f"name={name}", port, *OLD[1::2], runs=2))
    if state == "never":
        call(*words("remove --volumes"))
    elif state == "stopped":
        stage.goes_down("x", "tracking")
    elif state == "removed":
        call(*words("remove"))
    elif state in DEATHS:
        command, moment, *more = DEATHS[state]
        with stage.dies(moment):
            call(*words(command), *more)


@contextmanager
def within(stage: Stage, monkeypatch: pytest.MonkeyPatch, state: str) -> Iterator[None]:
    """What holds only while a command runs."""
    with ExitStack() as stack, monkeypatch.context() as patch:
        folder = stage.home.stack("x").folder
        if state == "busy":
            stack.enter_context(stage.home.stack("x").locked())
        if state == "theirs":
            real = Path.stat

            def another(path: Path, **how: Any) -> os.stat_result:
                found = real(path, **how)
                values = [*found[:4], 65534, *found[5:10]]
                return os.stat_result(values) if path == folder else found

            patch.setattr(Path, "stat", another)
        if state == "copied":
            copy = stage.home.path.with_name("copy")
            shutil.copytree(stage.home.path, copy)
            stack.callback(shutil.rmtree, copy)
            patch.chdir(copy)
        yield


def outcome(answer: Answer, state: str) -> str:
    """The word in the table."""
    if answer.code == 0:
        return "."
    for word, (code, said) in {**MEANING, "half": (2, HALF.get(state, "\0"))}.items():
        if answer.code == code and said in answer.err:
            return word
    return f"{answer.code} {answer.err}"


STATES = TABLE.split("\n")[1].split()
EXPECTED = {
    state: {
        line[:20].strip(): line[20:].split()[column] for line in TABLE.strip("\n").split("\n")[1:]
    }
    for column, state in enumerate(STATES)
}


@pytest.mark.parametrize("state", STATES)
def test_what_the_door_says(
    stage: Stage, stackctl: Call, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    """Of every command; a refusal leaves everything as it was."""
    theirs = stage.home.path.with_name("theirs")
    (theirs / "0").mkdir(parents=True)
    (theirs / "0" / "meta.yaml").write_text("experiment_id: '0'\nname: Default\n")
    stage.home.path.with_name("people.csv").write_text("user\nada\n")
    prepared(stage, stackctl, state)
    kept = stage.machine.keep()
    found = {}
    for command in COMMANDS:
        if EXPECTED[state][command] == "-":
            found[command] = "-"
            continue
        with within(stage, monkeypatch, state):
            before = stage.now(), files(Path.cwd())
            found[command] = outcome(stackctl(*words(command)), state)
            if found[command] != "." and (stage.now(), files(Path.cwd())) != before:
                found[command] += ", and something changed"
        stage.machine.revive(kept)
    assert found == EXPECTED[state]


def test_every_command_is_in_the_table(program: Any) -> None:
    there = set()
    for name, command in program.commands.items():
        below = getattr(command, "commands", {"": command})
        there |= {f"{name} {inner}".strip() for inner in below}
    told = {" ".join(part for part in name.split() if part != "x" and part[:2] != "--")
            for name in COMMANDS}  # fmt: skip
    # `backup` alone creates one.
    assert there - {"backup create"} == (told - {"backup"}) | ELSEWHERE
