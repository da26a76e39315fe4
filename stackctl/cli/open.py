"""`stackctl open`: the UI in a browser."""

import webbrowser
from typing import Annotated

import typer

from stackctl.cli.options import StackName, as_deployed, deployed, runtime_of


def open_(
    stack: StackName = None,
    print_: Annotated[
        bool, typer.Option("--print", help="print the address, start no browser")
    ] = False,
) -> None:
    """Open a stack's UI in the browser; $BROWSER says in which."""
    from stackctl.client import client_environment, ui_address
    from stackctl.console import say
    from stackctl.operations.use import refuse_stopped

    found, manifest = deployed(stack)
    scenario, effective = as_deployed(found, manifest)
    address = ui_address(effective.settings)
    if print_:
        typer.echo(address)
        return
    refuse_stopped(found, manifest, runtime_of(manifest))
    login = client_environment(scenario, effective.settings, found).files
    if "MLFLOW_TRACKING_PASSWORD" in login:
        say(f"log in as admin with the password in {login['MLFLOW_TRACKING_PASSWORD']}")
    typer.echo(address)
    if not webbrowser.open(address):
        say(
            "no browser was found here: open that address in one. From another machine: "
            f"ssh -L {effective.settings.port}:127.0.0.1:{effective.settings.port} THIS-MACHINE"
        )
