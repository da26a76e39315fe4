"""`stackctl secrets`: make, list, check and rotate secrets."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from stackctl.cli.options import (
    Name,
    ScenarioName,
    Set,
    Timeout,
    as_files,
    complete_stack,
    flags,
    recorded,
)

if TYPE_CHECKING:
    from stackctl.deployment import Deployment
    from stackctl.secrets import SecretFolder

app = typer.Typer(help="Make, list, check and rotate secrets.", no_args_is_help=True)


def _folder_and_names(
    scenario: str, given: list[str] | None, name: str | None
) -> tuple["SecretFolder", list[str]]:
    stack = _as_files(scenario, given, name)
    return stack.secrets, list(stack.render().secrets)


def _as_files(scenario: str, given: list[str] | None, name: str | None) -> "Deployment":
    # Which secrets there are does not depend on the runtime, and containers lack no program.
    return as_files(scenario, flags(given, name), runtime="docker")


@app.command("init")
def init(scenario: ScenarioName, given: Set = None, name: Name = None) -> None:
    """Generate the secrets of a scenario that are missing."""
    from stackctl.console import say
    from stackctl.operations.held import held

    stack = _as_files(scenario, given, name)
    names = list(stack.render().secrets)
    with held(stack, new=True, stopped=True, services=False):
        made = stack.secrets.ensure(names)
    say(f"generated {len(made)} of {len(names)} secrets in {stack.secrets.path}")
    for entry in made:
        typer.echo(entry)


@app.command("list")
def list_(scenario: ScenarioName, given: Set = None, name: Name = None) -> None:
    """List the secrets of a scenario: age, mode and state, never the value."""
    from stackctl.console import out, table
    from stackctl.secrets.rotation import open_names

    folder, names = _folder_and_names(scenario, given, name)
    changing, rows = open_names(folder), []
    for state in folder.states(names):
        told = state.problem or ("rotation cut short" if state.name in changing else "ok")
        age = f"{(datetime.now(UTC) - state.changed).days} d" if state.changed else ""
        rows.append((state.name, state.mode, age, told))
    out().print(table("secret", "mode", "age", "state", rows=rows))


@app.command("check")
def check(scenario: ScenarioName, given: Set = None, name: Name = None) -> None:
    """Check every secret of a scenario; the first bad one ends with exit code 2."""
    from stackctl.errors import BadSecret
    from stackctl.secrets.rotation import open_names

    folder, names = _folder_and_names(scenario, given, name)
    for entry in names:
        folder.read(entry)
    for entry in open_names(folder):
        hint = f"end it: stackctl secrets rotate --stack {folder.path.name}"
        raise BadSecret(folder.path / entry, "its rotation was cut short", hint)
    typer.echo(f"{len(names)} secrets are good")


@app.command("rotate")
def rotate(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="which secrets; all where none is given", metavar="[NAME]..."),
    ] = None,
    stack: Annotated[
        str | None,
        typer.Option(
            "--stack",
            help="which stack; the only one where not given",
            autocompletion=complete_stack,
        ),
    ] = None,
    timeout: Timeout = 180,
) -> None:
    """Give secrets of a running stack new values, and prove that the old ones are void.

    The servers are started anew. A rotation that was cut short is ended by the next one.
    """
    from stackctl.console import say
    from stackctl.operations.rotate import rotate as rotate_secrets

    done = rotate_secrets(recorded(stack), names or [], timeout=timeout, progress=say)
    if done.copied:
        say("clients that hold copies of the S3 keys need the new ones; see: stackctl env")
    if done.resumed:
        say("this ended a rotation that was cut short, and began no other")
    for name in done.names:
        typer.echo(name)
