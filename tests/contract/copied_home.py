"""Every command of stackctl from a copied home, and what it is told there."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import typer.main
from typer.core import TyperGroup

from stackctl.cli import app
from stackctl.deployment import Deployment
from stackctl.versions import MLFLOW
from tests.contract.driving import Deployed, User

# What looks, and reaches nothing of a stack; and a drill, which has a stack of its own.
REACHES_NOTHING = {
    "scenarios", "config show", "config set", "config unset", "config edit", "render", "show",
    "doctor", "backup list", "backup verify", "backup prune", "secrets list",
    "secrets check", "drill",
}  # fmt: skip


def commands() -> set[str]:
    """The commands that there are, as the command line itself tells."""
    return set(_below(typer.main.get_command(app), ()))


def _below(command: object, words: tuple[str, ...]) -> Iterator[str]:
    if not isinstance(command, TyperGroup):
        yield " ".join(words)
        return
    for name, inner in command.commands.items():
        yield from _below(inner, (*words, name))


def calls(deployed: Deployed, archive: Path, store: Path) -> dict[str, list[list[str]]]:
    """Of each command that reaches a stack, the words by which it would reach this one."""
    name, deploy = deployed.name, list(deployed.words[1:])
    promotion = ["--to", deployed.scenario, "--name", name]
    people = archive.with_name("people.csv")
    people.write_text("user\nada\n")
    return {
        "plan": [deploy],
        "deploy": [deploy, [*deploy, "--set", "workers=3"], [*deploy, "--no-check"]],
        "env": [[name]],
        "open": [[name], ["--print", name]],
        "trust": [[name], ["--path", name]],
        "users list": [["--stack", name]],
        "users add": [["ada", "--stack", name]],
        "users passwd": [["ada", "--stack", name]],
        "users remove": [["ada", "--stack", name]],
        "users show": [["ada", "--stack", name]],
        "users import": [[str(people), "--stack", name], [str(people), "--yes", "--stack", name]],
        "roles list": [["--stack", name]],
        "roles add": [["readers", "--stack", name]],
        "roles remove": [["readers", "--stack", name]],
        "roles show": [["readers", "--stack", name]],
        "roles grant": [["readers", "READ", "experiment", "contract", "--stack", name]],
        "roles revoke": [["readers", "experiment", "contract", "--stack", name]],
        "roles assign": [["readers", "ada", "--stack", name]],
        "roles unassign": [["readers", "ada", "--stack", name]],
        "grant": [["ada", "READ", "experiment", "contract", "--stack", name]],
        "revoke": [["ada", "experiment", "contract", "--stack", name]],
        "example": [["quickstart", name]],
        "smoke": [[name]],
        "logs": [["--stack", name]],
        "remove": [[name], [name, "--volumes", "--confirm", name]],
        "backup create": [[name]],
        "restore": [[str(archive), "--name", name], [str(archive), "--name", name, "--replace"]],
        "promote": [
            [name, "--to", "scenario-2", "--name", f"{name}-2"],
            [*promotion, "--from-folder", str(store)],
            [*promotion, "--from-folder", str(store), "--dry-run"],
        ],
        "gc": [[name], [name, "--older-than", "0s", "--yes"]],
        "upgrade": [[name], [name, "--dry-run"]],
        "secrets init": [[deployed.scenario, "--name", name]],
        "secrets rotate": [["--stack", name], ["postgres_password", "--stack", name]],
    }


def interrupted(command: str) -> str:
    """The status of the manifest that a killed command of this name leaves, and goes on with."""
    return {"restore": "restoring", "promote": "promoting", "upgrade": "upgrading"}.get(command, "")


def copy_of(user: User, folder: Path) -> User:
    """The same user in a copy of the home, made as `cp -a` makes one."""
    shutil.copytree(user.home, folder, symlinks=True, ignore=_sockets)
    return replace(user, home=folder)


def leave_half_done(user: User, stack: str, status: str) -> None:
    """Have the manifest say that an operation was cut short."""
    path = user.stack(stack).folder / "manifest.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "status": status, "upgrade": {"to": MLFLOW}}))


def content(deployed: Deployed) -> dict[str, object]:
    """The digest of every table, and every object of the bucket."""
    stack = Deployment.recorded(deployed.stack)
    objects = sorted(
        (entry.path, entry.size) for _, entry, _ in stack.artifacts.dump(stack, lambda _: None)
    )
    return {"rows": stack.ask("digest"), "objects": objects}


def _sockets(folder: str, _names: list[str]) -> list[str]:
    """What nobody can copy."""
    return [path.name for path in Path(folder).iterdir() if path.is_socket()]
