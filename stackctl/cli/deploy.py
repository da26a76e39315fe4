"""`stackctl deploy`: start a scenario and prove it by use."""

import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stackctl.cli.options import (
    Global,
    Name,
    Port,
    RuntimeName,
    Set,
    Timeout,
    Wanted,
    every,
    flags,
)

if TYPE_CHECKING:
    from stackctl.deployment import Deployment
    from stackctl.plan import Plan


def deploy(
    scenario: Wanted = None,
    given: Set = None,
    name: Name = None,
    port: Port = None,
    runtime: RuntimeName = None,
    timeout: Timeout = 180,
    no_check: Annotated[
        bool, typer.Option("--no-check", help="do not check the stack by use at the end")
    ] = False,
    no_save: Annotated[
        bool, typer.Option("--no-save", help="do not keep the settings given here in stackctl.toml")
    ] = False,
    yes: Annotated[
        bool, typer.Option("--yes", help="do not ask before a login goes or other machines come in")
    ] = False,
) -> None:
    """Start a scenario, wait until it is ready, and check it by use.

    What is there already is changed only where it differs; `stackctl plan` shows that first. What
    is set here stays set: `stackctl.toml` keeps it. With no name, every stack of that file.
    """
    from stackctl.console import say, working
    from stackctl.errors import WouldOpen
    from stackctl.operations.deploy import deploy as deploy_stack

    def carry_out(stack: "Deployment", *, opens: bool) -> "Plan":
        with working(f"deploying {stack.name}"):
            return deploy_stack(stack, progress=say, timeout=timeout, check=not no_check,
                                save=not no_save, opens=opens)  # fmt: skip

    for stack in every(scenario, flags(given, name, port, runtime)):
        say(stack.why if scenario else f"{stack.name}: {stack.why}")
        try:
            done = carry_out(stack, opens=yes)
        except WouldOpen as refusal:
            if not (sys.stdin.isatty() and typer.confirm(f"{refusal.message}. Go on?", err=True)):
                raise
            done = carry_out(stack, opens=True)
        if not done:
            say("nothing to do: the stack is as it should be")
        _tell(stack)


def _tell(stack: "Deployment") -> None:
    from stackctl.client import environment as client

    program = "stackctl" if shutil.which("stackctl") else str(Path(sys.argv[0]).absolute())
    at = ["--home", str(stack.stack.home.path)] if Global.home else []
    words = [program, *at, "env", stack.name]
    typer.echo(
        f"Tracking URI  {client.tracking_uri(stack.scenario, stack.settings, stack.data)}\n"
        f"UI            {stack.addresses.server}\n"
        f'In a shell    eval "$({shlex.join(words)})"'
    )
