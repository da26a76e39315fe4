"""`stackctl plan`: what deploy would do, each step with its cause."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from stackctl.cli.options import (
    Global,
    Name,
    Port,
    RuntimeName,
    Set,
    Wanted,
    every,
    flags,
)

if TYPE_CHECKING:
    from stackctl.deployment import Deployment
    from stackctl.operations.prepare import Prepared


def plan(
    scenario: Wanted = None,
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
    """Print what deploy would do, and how the files would change. Changes nothing.

    With no name, for every stack of `stackctl.toml`; as JSON that is a list.
    """
    from stackctl.console import say
    from stackctl.operations.deploy import look
    from stackctl.operations.external import told as database

    Global.errors_exit_1 = detailed_exitcode
    stacks = every(scenario, flags(given, name, port, runtime))
    plans = [(stack, look(stack)) for stack in stacks]
    told = []
    for stack, found in plans:
        for line in (stack.why, *found.bundle.notes):
            say(line if scenario else f"{stack.name}: {line}")
        told.append(_as_data(stack, found))
        if not as_json:
            if not scenario:
                typer.echo(f"{stack.name}:")
            if found.files and told[-1]["diff"]:
                typer.echo(f"{told[-1]['diff']}\n")
            typer.echo(str(found.plan))
        for line in database(stack):
            say(line)
    if as_json:
        typer.echo(json.dumps(told[0] if scenario else told, indent=2))
    if detailed_exitcode and any(found.plan for _, found in plans):
        raise typer.Exit(2)


def _as_data(stack: "Deployment", found: "Prepared") -> dict[str, object]:
    from stackctl.plan import diff
    from stackctl.secrets import redact

    changes = redact(diff(found.bundle, found.files), stack.secrets.values())
    return {"stack": stack.name, "steps": [asdict(s) for s in found.plan.steps], "diff": changes}
