"""`stackctl trust`: the authority by which clients know a stack's HTTPS."""

from typing import Annotated

import typer

from stackctl.cli.options import StackName, recorded


def trust(
    stack: StackName = None,
    path: Annotated[
        bool, typer.Option("--path", help="print the name of its file on this machine")
    ] = False,
    bundle: Annotated[
        bool,
        typer.Option("--bundle", help="print the authorities that everybody knows with it"),
    ] = False,
) -> None:
    """Print the certificate of the authority behind `tls=internal`, for clients elsewhere.

    Those of a stack with transfers=direct need the bundle, as REQUESTS_CA_BUNDLE too.
    """
    from stackctl.client.environment import with_all_others
    from stackctl.console import say
    from stackctl.operations.trust import authority

    deployment = recorded(stack)
    found = authority(deployment)
    if path:
        typer.echo(found)
        return
    text = found.read_text(encoding="utf-8").rstrip("\n")
    typer.echo(with_all_others(text) if bundle else text)
    if not bundle and deployment.settings.transfers == "direct":
        say("clients of transfers=direct need more, as REQUESTS_CA_BUNDLE too: add --bundle")
