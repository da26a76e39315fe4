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
    home,
    scenario_and_settings,
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
    from stackctl import client
    from stackctl.console import say, working
    from stackctl.operations.deploy import deploy as deploy_stack
    from stackctl.runtimes.choice import choose

    found, effective = scenario_and_settings(scenario, given, name, port, runtime)
    stack = home().stack(effective.settings.name)
    chosen = choose(stack, found, effective)
    say(str(chosen))
    with working(f"deploying {stack.name}"):
        done = deploy_stack(
            stack, found, effective, chosen.runtime,
            progress=say, timeout=timeout, check=not no_check,
        )  # fmt: skip
    if not done:
        say("nothing to do: the stack is as it should be")
    settings = effective.settings
    program = "stackctl" if shutil.which("stackctl") else str(Path(sys.argv[0]).absolute())
    words = [program, *(["--home", str(stack.home.path)] if Global.home else []), "env", stack.name]
    typer.echo(
        f"Tracking URI  {client.tracking_uri(found, settings, stack.data(settings.data))}\n"
        f"UI            {client.ui_address(settings)}\n"
        f'In a shell    eval "$({shlex.join(words)})"'
    )
