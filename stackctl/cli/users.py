"""`stackctl users`, `grant` and `revoke`: who may do what on a stack with a login."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stackctl.cli.options import StackOption, recorded

if TYPE_CHECKING:
    from stackctl.operations.users import People

app = typer.Typer(help="Make, list and remove users of a stack with a login.", no_args_is_help=True)

UserName = Annotated[str, typer.Argument(metavar="USER", help="as they log in")]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", metavar="FILE", help="read the password; one is made else"),
]
Json = Annotated[bool, typer.Option("--json", help="for programs")]
Thing = Annotated[str, typer.Argument(metavar="KIND", help="experiment or model")]
Which = Annotated[str, typer.Argument(metavar="NAME", help="which")]


def _people(stack: str | None) -> "People":
    from stackctl.operations.users import People

    return People(recorded(stack))


def _password(file: Path | None) -> tuple[str, bool]:
    """The password, and whether it was made here."""
    from stackctl.errors import MachineError
    from stackctl.operations.users import new_password

    if file is None:
        return new_password(), True
    try:
        return file.read_text(encoding="utf-8").rstrip("\r\n"), False
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise MachineError(f"{file} cannot be read: {reason}", hint="is the path right?") from None


def _tell(password: str, *, made: bool) -> None:
    from stackctl.console import say

    if made:
        say("this password is shown once; hand it over by a safe way:")
        typer.echo(password)


@app.command("list")
def list_(stack: StackOption = None, as_json: Json = False) -> None:
    """List the users of a stack."""
    found = _people(stack).all()
    if as_json:
        typer.echo(json.dumps([asdict(person) for person in found], indent=2))
        return
    from rich.table import Table

    from stackctl.console import out

    table = Table("user", "administrator", "roles", box=None, pad_edge=False)
    for person in found:
        table.add_row(person.name, "yes" if person.admin else "", ", ".join(person.roles))
    out().print(table)


@app.command("add")
def add(
    user: UserName,
    admin: Annotated[bool, typer.Option("--admin", help="they may do everything")] = False,
    password_file: PasswordFile = None,
    stack: StackOption = None,
) -> None:
    """Make a user, with a password that is shown once."""
    people = _people(stack)
    password, made = _password(password_file)
    people.add(user, password, admin=admin)
    _tell(password, made=made)


@app.command("passwd")
def passwd(user: UserName, password_file: PasswordFile = None, stack: StackOption = None) -> None:
    """Give a user another password, which is shown once."""
    people = _people(stack)
    password, made = _password(password_file)
    people.change(user, password)
    _tell(password, made=made)


@app.command("remove")
def remove(user: UserName, stack: StackOption = None) -> None:
    """Take a user away, with all permissions; what they logged stays."""
    _people(stack).remove(user)


@app.command("show")
def show(user: UserName, stack: StackOption = None, as_json: Json = False) -> None:
    """Show what a user may do beyond what everybody may."""
    found = _people(stack).grants(user)
    if as_json:
        typer.echo(json.dumps([asdict(grant) for grant in found], indent=2))
        return
    from rich.table import Table

    from stackctl.console import out

    table = Table("permission", "on", "which", box=None, pad_edge=False)
    for grant in found:
        table.add_row(grant.permission, grant.kind, grant.id)
    out().print(table)


def grant(
    user: UserName,
    permission: Annotated[
        str, typer.Argument(metavar="PERMISSION", help="DENY, READ, USE, EDIT or MANAGE")
    ],
    thing: Thing,
    which: Which,
    stack: StackOption = None,
) -> None:
    """Let a user do something with an experiment or a registered model."""
    _people(stack).grant(user, permission.upper(), thing, which)


def revoke(user: UserName, thing: Thing, which: Which, stack: StackOption = None) -> None:
    """Have a user do no more with an experiment or a model than everybody may."""
    _people(stack).revoke(user, thing, which)
