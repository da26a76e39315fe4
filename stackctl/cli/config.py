"""`stackctl config`: every setting with where it came from, and what stays set of each stack."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stackctl.cli.options import (
    Name,
    Port,
    ScenarioName,
    Set,
    WithDefault,
    complete_configured,
    complete_setting,
    flags,
    home,
    resolved,
)
from stackctl.errors import UserError

if TYPE_CHECKING:
    from stackctl.operations.configure import Changes


class _ScenarioOrCommand(WithDefault):
    """A group whose first word may also be a scenario: then it is `show`."""

    default = "show"


app = typer.Typer(
    cls=_ScenarioOrCommand,
    help="Print every setting of a scenario or stack, and change what stackctl.toml keeps: "
    "stackctl config [SCENARIO] [--set KEY=VALUE] [--json].",
)
Table = Annotated[
    str, typer.Argument(help="which stack", autocompletion=complete_configured, metavar="STACK")
]


@app.command("show", hidden=True)
def show(
    scenario: ScenarioName = "scenario-3b",
    given: Set = None,
    name: Name = None,
    port: Port = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Print every setting: its effective value and where that came from."""
    _, effective = resolved(scenario, flags(given, name, port))
    rows = effective.rows()
    if as_json:
        values = {key: {"value": value, "source": source} for key, value, source in rows}
        typer.echo(json.dumps(values, indent=2))
        return
    from stackctl.console import out, table

    out().print(table("setting", "value", "from", rows=rows))


@app.command("set")
def set_(
    stack: Table,
    pairs: Annotated[
        list[str],
        typer.Argument(help="settings, and scenario=NAME for a stack that is new",
                       autocompletion=complete_setting, metavar="KEY=VALUE..."),
    ],
) -> None:  # fmt: skip
    """Have stackctl.toml keep settings of a stack; the next deploy applies them."""
    from stackctl.operations import configure

    _tell(stack, configure.set_(home(), stack, pairs))


@app.command("unset")
def unset(
    stack: Table,
    keys: Annotated[
        list[str] | None, typer.Argument(help="settings", metavar="KEY...")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="all of them: take the stack out of the file")
    ] = False,
) -> None:  # fmt: skip
    """Take settings of a stack out of stackctl.toml; the next deploy goes back to the default."""
    from stackctl.operations import configure

    if bool(keys) == everything:
        raise UserError("which settings?", hint="name some, or all of them with --all")
    _tell(stack, configure.unset(home(), stack, keys or []))


@app.command("edit")
def edit(stack: Annotated[
    str | None, typer.Argument(help="which stack, if it is not in the file yet",
                               autocompletion=complete_configured, metavar="STACK")
] = None) -> None:  # fmt: skip
    """Open stackctl.toml in $VISUAL or $EDITOR, and keep it only if it can be used."""
    from stackctl.operations import configure

    with configure.draft(home(), stack) as draft:
        while True:
            _open_editor(draft.path)
            try:
                changed = draft.accept()
                break
            except UserError as error:
                if not (sys.stdin.isatty() and typer.confirm(f"{error}. Edit it again?", err=True)):
                    raise
    typer.echo("changed; run: stackctl plan" if changed else "nothing was changed")


def _tell(stack: str, changes: "Changes") -> None:
    for key, (before, after) in changes.items():
        typer.echo(f"{key}: {_or_nothing(before)} -> {_or_nothing(after)}")
    typer.echo(f"the next deploy applies it: stackctl plan {stack}")


def _or_nothing(value: str | None) -> str:
    return "not said" if value is None else value or "empty"


def _open_editor(path: Path) -> None:
    words = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    try:
        subprocess.run([*words, str(path)], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UserError(f"the editor {words[0]!r} failed: {error}",
                        hint="name another in $EDITOR; nothing was changed") from error  # fmt: skip
