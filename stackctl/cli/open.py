"""`stackctl open`: the UI in a browser."""

import webbrowser
from typing import Annotated

import typer

from stackctl.cli.options import StackName, recorded


def open_(
    stack: StackName = None,
    print_: Annotated[
        bool, typer.Option("--print", help="print the address, start no browser")
    ] = False,
) -> None:
    """Open a stack's UI in the browser; $BROWSER says in which."""
    from stackctl.client.environment import client_environment
    from stackctl.console import say
    from stackctl.operations.held import visited

    found = recorded(stack)
    visited(found, running=not print_)
    address = str(found.addresses.server)
    if print_:
        typer.echo(address)
        return
    login = client_environment(found).files
    if "MLFLOW_TRACKING_PASSWORD" in login:
        say(f"log in as admin with the password in {login['MLFLOW_TRACKING_PASSWORD']}")
    typer.echo(address)
    if not webbrowser.open(address):
        say(
            "no browser was found here: open that address in one. From another machine: "
            f"ssh -L {found.settings.port}:127.0.0.1:{found.settings.port} THIS-MACHINE"
        )
