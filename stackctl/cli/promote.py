"""`stackctl promote`: copy a stack's content into a stack of another scenario."""

from pathlib import Path
from typing import Annotated

import typer

from stackctl.cli.options import (
    Name,
    Port,
    RuntimeName,
    Set,
    Timeout,
    complete_scenario,
    complete_stack,
    flags,
    home,
)


def promote(
    to: Annotated[
        str, typer.Option(help="the scenario of the new stack", metavar="SCENARIO",
                          autocompletion=complete_scenario)
    ],
    source: Annotated[
        str | None, typer.Argument(help="the stack to copy", metavar="STACK",
                                   autocompletion=complete_stack)
    ] = None,
    from_folder: Annotated[
        Path | None, typer.Option(help="copy a folder of MLflow's instead, as ./mlruns",
                                  metavar="FOLDER")
    ] = None,
    from_uri: Annotated[
        str | None, typer.Option(help="copy a database of MLflow's instead, as sqlite:///mlflow.db",
                                 metavar="URI")
    ] = None,
    artifacts: Annotated[
        Path | None, typer.Option(help="folder that has the artifacts of each experiment by its "
                                  "number, for a store that says another one", metavar="FOLDER")
    ] = None,
    given: Set = None,
    name: Name = None,
    port: Port = None,
    runtime: RuntimeName = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="count what would be copied, and copy nothing")
    ] = False,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="leave out files that MLflow cannot read, and "
                           "artifacts whose names the new stack cannot keep; each is told")
    ] = False,
    truncate: Annotated[
        bool, typer.Option("--truncate", help="cut texts that are too long for the new stack's "
                           "database; each is told")
    ] = False,
    timeout: Timeout = 180,
) -> None:  # fmt: skip
    """Copy a stack, or a store of MLflow's own, into a new stack of another scenario, and compare.

    What is copied is only read. A promotion that was interrupted goes on by the same command.
    """
    from stackctl.console import counts, meter, say, size
    from stackctl.operations.examination import Choice
    from stackctl.operations.origins import named
    from stackctl.operations.promote import destination, look
    from stackctl.operations.promote import promote as promote_stack

    chosen = {Choice.SKIP: skip_unreadable, Choice.TRUNCATE: truncate}
    choices = [choice for choice, wanted in chosen.items() if wanted]
    origin = named(home(), source, from_folder, from_uri, artifacts, skip=skip_unreadable)
    target = destination(origin, home(), to, flags(given, name, port, runtime))
    if dry_run:
        outcome = look(origin, target, choices)
    else:
        with meter() as shown:
            outcome = promote_stack(
                origin, target, choices=choices, timeout=timeout, meter=shown, progress=say
            )
    for note in outcome.notes:
        say(note)
    held = counts(outcome.counts)
    told = f"{held}; {size(outcome.bytes)} of artifacts"
    if dry_run:
        typer.echo(f"{origin.name} holds {told}")
        return
    typer.echo(
        f"promoted {origin.name} to {target.name}: {told}; {len(outcome.tables)} tables and "
        f"{outcome.artifacts} artifacts are equal"
    )
