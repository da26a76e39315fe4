"""`stackctl deploy`: start a scenario and prove it by use."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from stackctl.cli.options import (
    Global,
    Name,
    Port,
    RuntimeName,
    ScenarioName,
    Set,
    Timeout,
    flags,
    wanted,
)


def deploy(
    scenario: ScenarioName,
    given: Set = None,
    name: Name = None,
    port: Port = None,
    runtime: RuntimeName = None,
    timeout: Timeout = 180,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="do not check the stack by use at the end")
    ] = False,
) -> None:
    """Start a scenario, wait until it is ready, and check it by use.

    What is there already is changed only where it differs; `stackctl plan` shows that first.
    """
    from stackctl.client import environment as client
    from stackctl.console import say, working
    from stackctl.operations.deploy import deploy as deploy_stack

    stack = wanted(scenario, flags(given, name, port, runtime))
    say(stack.why)
    with working(f"deploying {stack.name}"):
        done = deploy_stack(stack, progress=say, timeout=timeout, check=not no_check)
    if not done:
        say("nothing to do: the stack is as it should be")
    program = "stackctl" if shutil.which("stackctl") else str(Path(sys.argv[0]).absolute())
    at = ["--home", str(stack.stack.home.path)] if Global.home else []
    words = [program, *at, "env", stack.name]
    typer.echo(
        f"Tracking URI  {client.tracking_uri(stack.scenario, stack.settings, stack.data)}\n"
        f"UI            {stack.addresses.server}\n"
        f'In a shell    eval "$({shlex.join(words)})"'
    )
