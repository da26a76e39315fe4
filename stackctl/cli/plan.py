"""`stackctl plan`: what deploy would do, each step with its cause."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from stackctl.cli.options import (
    Global,
    Name,
    Port,
    RuntimeName,
    ScenarioName,
    Set,
    flags,
    wanted,
)


def plan(
    scenario: ScenarioName,
    given: Set = None,
    name: Name = None,
    port: Port = None,
    runtime: RuntimeName = None,
    detailed_exitcode: Annotated[
        bool,
        typer.Option(
            "--detailed-exitcode", help="exit 0: nothing to do, 1: an error, 2: something to do"
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Print what deploy would do, and how the files would change. Changes nothing."""
    from stackctl.console import say
    from stackctl.operations.deploy import look
    from stackctl.plan import diff
    from stackctl.secrets import redact

    Global.errors_exit_1 = detailed_exitcode
    stack = wanted(scenario, flags(given, name, port, runtime))
    found = look(stack)
    for line in (stack.why, *found.bundle.notes):
        say(line)
    changes = redact(diff(found.bundle, found.files), stack.secrets.values())
    if as_json:
        steps = [asdict(step) for step in found.plan.steps]
        typer.echo(json.dumps({"stack": stack.name, "steps": steps, "diff": changes}, indent=2))
    else:
        if found.files and changes:
            typer.echo(f"{changes}\n")
        typer.echo(str(found.plan))
    if detailed_exitcode and found.plan:
        raise typer.Exit(2)
