"""`stackctl env`: what a client sets to use a stack."""

import json
from enum import StrEnum
from typing import Annotated

import typer

from stackctl.cli.options import StackName, as_deployed, deployed


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
    from stackctl.client import client_environment
    from stackctl.console import say

    found, manifest = deployed(stack)
    scenario, effective = as_deployed(found, manifest)
    variables = client_environment(scenario, effective.settings, found)
    if manifest.status == "removed":
        say(
            f"stack {found.name!r} is removed; start it: "
            f"stackctl deploy {scenario.name} --name {found.name}"
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
