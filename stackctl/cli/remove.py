"""`stackctl remove`: take a stack away, and keep its data."""

import sys
from typing import Annotated

import typer

from stackctl.cli.options import StackName, recorded


def remove(
    stack: StackName = None,
    volumes: Annotated[
        bool, typer.Option("--volumes", help="delete its data, secrets and settings too")
    ] = False,
    confirm: Annotated[
        str | None,
        typer.Option("--confirm", help="the stack's name, instead of being asked", metavar="NAME"),
    ] = None,
) -> None:
    """Take a stack's services away; a later deploy finds its data.

    With --volumes everything is deleted, after you typed the stack's name.
    """
    from stackctl.console import say
    from stackctl.errors import UserError
    from stackctl.operations import remove as operation

    found = recorded(stack)
    if not volumes:
        operation.remove(found, progress=say)
        return
    if confirm is None:
        if not sys.stdin.isatty():
            raise UserError(
                "nobody is there to confirm that data is deleted",
                hint=f"give --confirm {found.name}; nothing was deleted",
            )
        say(f"This deletes for ever:\n{operation.losses(found)}")
        confirm = typer.prompt(f"Type {found.name} to delete it", default="", show_default=False)
    if confirm != found.name:
        raise UserError(
            f"{confirm!r} is not the stack's name {found.name!r}", hint="nothing was deleted"
        )
    operation.remove_with_data(found, progress=say)
