"""`stackctl logs`: the services' logs."""

from typing import Annotated

import typer

from stackctl.cli.options import deployed, runtime_of


def logs(
    service: Annotated[str | None, typer.Argument(help="one service; all where not given")] = None,
    stack: Annotated[str | None, typer.Option("--stack", help="which stack")] = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="go on as they grow")] = False,
    tail: Annotated[int, typer.Option(help="lines of each service", min=0)] = 100,
) -> None:
    """Print the logs of a stack's services, without secrets."""
    from stackctl.errors import UnknownName

    found, manifest = deployed(stack)
    runtime = runtime_of(manifest)
    known = list(runtime.observe(found).services)
    if service is not None and service not in known:
        raise UnknownName("service", service, known)
    for line in runtime.logs(found, service, follow=follow, tail=tail):
        typer.echo(line)
