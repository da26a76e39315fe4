"""`stackctl promote`: copy a stack's content into a stack of another scenario."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stackctl.cli.options import (
    Name,
    Port,
    RuntimeName,
    Set,
    Timeout,
    complete_scenario,
    complete_stack,
    deployed,
    home,
    scenario_and_settings,
    site_of,
)

if TYPE_CHECKING:
    from stackctl.operations.origins import Origin


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
    timeout: Timeout = 180,
) -> None:  # fmt: skip
    """Copy a stack, or a store of MLflow's own, into a new stack of another scenario, and compare.

    What is copied is only read. A promotion that was interrupted goes on by the same command.
    """
    from stackctl.console import counts, meter, say, size
    from stackctl.errors import UserError
    from stackctl.operations.origins import StackOrigin
    from stackctl.operations.promote import look
    from stackctl.operations.promote import promote as promote_stack
    from stackctl.operations.site import Site
    from stackctl.runtimes.choice import choose

    origin = _origin(source, from_folder, from_uri, artifacts)
    scenario, effective = scenario_and_settings(to, given, name, port, runtime)
    stack = home().stack(effective.settings.name)
    if isinstance(origin, StackOrigin) and origin.site.stack.name == stack.name:
        raise UserError(
            f"stack {stack.name!r} cannot be promoted into itself",
            hint="name the new stack with --name",
        )
    if (there := stack.manifest()) is not None:
        target = site_of(stack, there)
    else:
        target = Site(stack, scenario, effective, choose(stack, scenario, effective).runtime)
    if dry_run:
        outcome = look(origin, target)
    else:
        with meter() as shown:
            outcome = promote_stack(origin, target, timeout=timeout, meter=shown, progress=say)
    for note in outcome.notes:
        say(note)
    held = counts(outcome.counts)
    told = f"{held}; {size(outcome.bytes)} of artifacts"
    if dry_run:
        typer.echo(f"{origin.name} holds {told}")
        return
    typer.echo(
        f"promoted {origin.name} to {stack.name}: {told}; {len(outcome.tables)} tables and "
        f"{outcome.artifacts} artifacts are equal"
    )


def _origin(
    source: str | None, folder: Path | None, uri: str | None, artifacts: Path | None
) -> "Origin":
    from stackctl.errors import UserError
    from stackctl.operations.origins import ForeignOrigin, StackOrigin
    from stackctl.stores import foreign

    if sum(given is not None for given in (source, folder, uri)) > 1:
        raise UserError(
            "more than one thing to copy is named", hint="a stack, --from-folder or --from-uri"
        )
    if folder is not None:
        return ForeignOrigin(foreign.open_folder(folder, artifacts))
    if uri is not None:
        return ForeignOrigin(foreign.open_uri(uri, artifacts))
    if artifacts is not None:
        raise UserError(
            "--artifacts is for --from-folder and --from-uri", hint="a stack knows where they are"
        )
    return StackOrigin(site_of(*deployed(source)))
