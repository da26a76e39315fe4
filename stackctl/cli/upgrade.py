"""`stackctl upgrade`: another MLflow release on a stack's data."""

from pathlib import Path
from typing import Annotated

import typer

from stackctl.cli.options import StackName, Timeout, home, recorded


def upgrade(
    stack: StackName = None,
    to: Annotated[
        str | None,
        typer.Option(help="the MLflow release; the one that this stackctl brings where not given",
                     metavar="VERSION"),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="the backup; "
                     "backups/STACK-before-upgrade-TIME.tar where not given"),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(help="the image that brings it, for a stack with images.tracking",
                     metavar="IMAGE"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print what would be done, and change nothing")
    ] = False,
    timeout: Timeout = 180,
) -> None:  # fmt: skip
    """Back a stack up, migrate its data, and run another MLflow release on them.

    Where anything fails, what was there before is back, and the exit code is 4.
    """
    from stackctl.console import counts, meter, say
    from stackctl.operations.backup import default_path
    from stackctl.operations.upgrade import Options, look, releases
    from stackctl.operations.upgrade import upgrade as upgrade_stack
    from stackctl.versions import MLFLOW

    found = recorded(stack)
    path = (output or default_path(home(), f"{found.name}-before-upgrade")).absolute()
    before, after = releases(found, to or MLFLOW, image)
    options = Options(path, timeout)
    if dry_run:
        outcome = look(before, after, options)
    else:
        with meter() as shown:
            outcome = upgrade_stack(before, after, options, meter=shown, progress=say)
    held = counts(outcome.counts)
    if not outcome.steps:
        typer.echo(f"nothing to do: MLflow {outcome.before} serves {found.name}")
    elif dry_run:
        typer.echo(f"{found.name}: MLflow {outcome.before} -> {outcome.after}; "
                   f"it holds {held}")  # fmt: skip
        for number, step in enumerate(outcome.steps, 1):
            typer.echo(f"{number}. {step}")
    else:
        typer.echo(f"upgraded {found.name} from MLflow {outcome.before} to {outcome.after}: "
                   f"{held}; the backup is {path}")  # fmt: skip
