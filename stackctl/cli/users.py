"""`stackctl users`, `grant` and `revoke`: who may do what on a stack with a login."""

import csv
import json
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from stackctl.cli.options import StackOption, recorded

if TYPE_CHECKING:
    from stackctl.operations.login_server import Grant, LoginServer
    from stackctl.operations.users import People

app = typer.Typer(help="Make, list and remove users of a stack with a login.", no_args_is_help=True)

UserName = Annotated[str, typer.Argument(metavar="USER", help="as they log in")]
PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", metavar="FILE", help="read the password; one is made else"),
]
Json = Annotated[bool, typer.Option("--json", help="for programs")]
Prompt = Annotated[bool, typer.Option("--prompt", help="ask for the password")]
Permission = Annotated[
    str, typer.Argument(metavar="PERMISSION", help="DENY, READ, USE, EDIT or MANAGE")
]
Thing = Annotated[str, typer.Argument(metavar="KIND", help="experiment or model")]
Which = Annotated[str, typer.Argument(metavar="NAME", help="which; '*' is every one")]


def login_server(stack: str | None) -> "LoginServer":
    """That of a stack which runs."""
    from stackctl.operations.login_server import LoginServer

    return LoginServer(recorded(stack))


def _people(stack: str | None) -> "People":
    from stackctl.operations.users import People

    return People(login_server(stack))


def _password(file: Path | None, *, prompt: bool) -> tuple[str, bool]:
    """The password, and whether it was made here."""
    from stackctl.errors import MachineError, UserError
    from stackctl.operations.users import new_password

    if prompt and file is not None:
        raise UserError("--prompt and --password-file are both given", hint="leave one out")
    if prompt:
        asked = typer.prompt("password", hide_input=True, confirmation_prompt=True, err=True)
        return str(asked), False
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
    from stackctl.console import out, table

    rows = [(person.name, "yes" if person.admin else "", ", ".join(person.roles))
            for person in found]  # fmt: skip
    out().print(table("user", "administrator", "roles", rows=rows))


@app.command("add")
def add(
    user: UserName,
    admin: Annotated[bool, typer.Option("--admin", help="they may do everything")] = False,
    role: Annotated[
        list[str] | None, typer.Option("--role", metavar="ROLE", help="one that they have")
    ] = None,
    password_file: PasswordFile = None,
    prompt: Prompt = False,
    stack: StackOption = None,
) -> None:
    """Make a user, with a password that is shown once."""
    from stackctl.operations.roles import Roles
    from stackctl.operations.users import People

    server = login_server(stack)
    people, roles = People(server), Roles(server)
    roles.require(role or ())
    password, made = _password(password_file, prompt=prompt)
    people.add(user, password, admin=admin)
    _tell(password, made=made)
    roles.give(role or (), user)


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="a CSV file with the columns user, admin, roles")
    ],
    yes: Annotated[bool, typer.Option("--yes", help="do it; else it is only shown")] = False,
    passwords: Annotated[
        Path | None,
        typer.Option("--passwords", metavar="FILE", help="a new file for them; else printed"),
    ] = None,
    stack: StackOption = None,
) -> None:
    """Make many users, or give them roles; nothing is taken away."""
    from stackctl.console import say
    from stackctl.operations.enrolment import Enrolment, read
    from stackctl.operations.roles import Roles
    from stackctl.operations.users import People

    wanted = read(file)
    server = login_server(stack)
    enrolment = Enrolment(People(server), Roles(server), wanted)
    for change in enrolment.changes:
        say(str(change))
    if not enrolment.changes:
        say("nothing to do: everybody is there, with these roles")
        return
    if not yes:
        say("nothing was changed; to do it, add --yes")
        return
    with _opened(passwords) as out:
        write = csv.writer(out, lineterminator="\n").writerow
        for row in enrolment.carry_out():
            write(row)
            out.flush()


def _opened(file: Path | None) -> AbstractContextManager[TextIO]:
    """A new file of the user alone, or standard output."""
    from stackctl.errors import UserError

    if file is None:
        return nullcontext(sys.stdout)
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise UserError(f"{file} cannot be made: {error.strerror}",
                        hint="name a file that is not there yet") from None  # fmt: skip
    return os.fdopen(handle, "w", encoding="utf-8")


@app.command("passwd")
def passwd(
    user: UserName,
    password_file: PasswordFile = None,
    prompt: Prompt = False,
    stack: StackOption = None,
) -> None:
    """Give a user another password, which is shown once."""
    people = _people(stack)
    password, made = _password(password_file, prompt=prompt)
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
    print_grants(found)


def print_grants(grants: "Sequence[Grant]") -> None:
    """As a table."""
    from stackctl.console import out, table

    rows = [(grant.permission, grant.kind, grant.name, grant.role) for grant in grants]
    out().print(table("permission", "on", "which", "by role", rows=rows))


def grant(
    user: UserName, permission: Permission, thing: Thing, which: Which, stack: StackOption = None
) -> None:
    """Let a user do something with an experiment or a registered model."""
    _people(stack).grant(user, permission.upper(), thing, which)


def revoke(user: UserName, thing: Thing, which: Which, stack: StackOption = None) -> None:
    """Have a user do no more with an experiment or a model than everybody may."""
    _people(stack).revoke(user, thing, which)
