"""`stackctl logs`: the services' logs."""

from typing import Annotated

import typer

from stackctl.cli.options import recorded


def logs(
    service: Annotated[str | None, typer.Argument(help="one service; all where not given")] = None,
    stack: Annotated[str | None, typer.Option("--stack", help="which stack")] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="go on as they grow")] = False,
    tail: Annotated[int, typer.Option(help="lines of each service", min=0)] = 100,
) -> None:
    """Print the logs of a stack's services, without secrets."""
    from stackctl.errors import UnknownName
    from stackctl.operations.held import visited

    found = recorded(stack)
    visited(found)
    known = list(found.runtime.observe(found.stack).services)
    if service is not None and service not in known:
        raise UnknownName("service", service, known)
    for line in found.runtime.logs(found.stack, service, follow=follow, tail=tail):
        typer.echo(line)
