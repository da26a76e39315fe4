"""`stackctl trust`: the authority by which clients know a stack's HTTPS."""

from typing import Annotated

import typer

from stackctl.cli.options import StackName, recorded


def trust(
    stack: StackName = None,
    path: Annotated[
        bool, typer.Option("--path", help="print the name of its file on this machine")
    ] = False,
) -> None:
    """Print the certificate of the authority behind `tls=internal`, for clients elsewhere."""
    from stackctl.operations.trust import authority

    found = authority(recorded(stack))
    typer.echo(found if path else found.read_text(encoding="utf-8").rstrip("\n"))
