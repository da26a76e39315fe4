"""`stackctl env`: what a client sets to use a stack."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from stackctl.cli.options import StackName, recorded


class EnvFormat(StrEnum):
    """For whom the variables are written."""

    shell = "shell"
    dotenv = "dotenv"
    json = "json"
    powershell = "powershell"


def env(
    stack: StackName = None,
    format_: Annotated[
        EnvFormat, typer.Option("--format", help="for whom they are written")
    ] = EnvFormat.shell,
) -> None:
    """Print what a client sets to use the stack: eval "$(stackctl env)".

    No secret is printed: variables name the files that hold them, or read them when evaluated.
    """
    from stackctl.client.environment import client_environment
    from stackctl.console import say
    from stackctl.operations.held import visited

    found = recorded(stack)
    manifest = visited(found)
    variables = client_environment(found)
    if manifest.status == "removed":
        say(
            f"stack {found.name!r} is removed; start it: "
            f"stackctl deploy {found.scenario.name} --name {found.name}"
        )
    if format_ is EnvFormat.json:
        typer.echo(json.dumps(variables.values, indent=2))
    else:
        typer.echo(getattr(variables, format_.value)())
    if variables.unset and format_ in (EnvFormat.json, EnvFormat.dotenv):
        say(f"also unset, where they are set: {', '.join(variables.unset)}")
    if variables.files and format_ in (EnvFormat.json, EnvFormat.dotenv):
        for name, path in variables.files.items():
            say(f"left out: {name}, whose value is in {path}")
