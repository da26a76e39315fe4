"""`stackctl roles`: what several users of a stack with a login may do alike."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from stackctl.cli.options import StackOption
from stackctl.cli.users import (
    Json,
    Permission,
    Thing,
    UserName,
    Which,
    login_server,
    print_grants,
)

if TYPE_CHECKING:
    from stackctl.operations.roles import Roles

app = typer.Typer(help="Make, list and give roles to users.", no_args_is_help=True)

RoleName = Annotated[str, typer.Argument(metavar="ROLE", help="what it is called")]


def _roles(stack: str | None) -> "Roles":
    from stackctl.operations.roles import Roles

    return Roles(login_server(stack))


@app.command("list")
def list_(stack: StackOption = None, as_json: Json = False) -> None:
    """List the roles of a stack, and who has them."""
    found = _roles(stack).all()
    if as_json:
        typer.echo(json.dumps([asdict(role) for role in found], indent=2))
        return
    from stackctl.console import out, table

    rows = [(role.name, ", ".join(role.users), str(len(role.grants)), role.description)
            for role in found]  # fmt: skip
    out().print(table("role", "users", "grants", "for", rows=rows))


@app.command("add")
def add(
    role: RoleName,
    description: Annotated[str, typer.Option("--description", help="what it is for")] = "",
    stack: StackOption = None,
) -> None:
    """Make a role, with which nobody may do anything yet."""
    _roles(stack).add(role, description)


@app.command("remove")
def remove(role: RoleName, stack: StackOption = None) -> None:
    """Take a role away, from whoever has it."""
    _roles(stack).remove(role)


@app.command("show")
def show(role: RoleName, stack: StackOption = None, as_json: Json = False) -> None:
    """Show what who has a role may do, and who that is."""
    from stackctl.console import visible

    found = _roles(stack).one(role)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
        return
    typer.echo(f"users: {visible(', '.join(found.users)) or 'nobody'}")
    print_grants(found.grants)


@app.command("grant")
def grant(
    role: RoleName, permission: Permission, thing: Thing, which: Which, stack: StackOption = None
) -> None:
    """Let whoever has a role do something with an experiment or a model, or with `*`, all."""
    _roles(stack).grant(role, permission.upper(), thing, which)


@app.command("revoke")
def revoke(role: RoleName, thing: Thing, which: Which, stack: StackOption = None) -> None:
    """Have a role say nothing of an experiment or a model any more."""
    _roles(stack).revoke(role, thing, which)


@app.command("assign")
def assign(role: RoleName, user: UserName, stack: StackOption = None) -> None:
    """Give a role to a user."""
    _roles(stack).assign(role, user)


@app.command("unassign")
def unassign(role: RoleName, user: UserName, stack: StackOption = None) -> None:
    """Take a role from a user."""
    _roles(stack).unassign(role, user)
