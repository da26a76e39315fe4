"""`stackctl secrets`: make, list and check the secrets of a scenario's stack."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer

from stackctl.cli.options import Name, ScenarioName, Set, home, scenario_and_settings

if TYPE_CHECKING:
    from stackctl.secrets import SecretFolder

app = typer.Typer(help="Make, list and check secrets.", no_args_is_help=True)


def _folder_and_names(
    scenario: str, given: list[str] | None, name: str | None
) -> tuple["SecretFolder", list[str]]:
    from stackctl.render import render
    from stackctl.runtimes.base import Identity, place_of

    found, effective = scenario_and_settings(scenario, given, name)
    stack = home().stack(effective.settings.name)
    bundle = render(found, effective, place_of(stack, effective, Identity.of_this_process()))
    return stack.secrets, list(bundle.secrets)


@app.command("init")
def init(scenario: ScenarioName, given: Set = None, name: Name = None) -> None:
    """Generate the secrets of a scenario that are missing."""
    from stackctl.console import say

    folder, names = _folder_and_names(scenario, given, name)
    made = folder.ensure(names)
    say(f"generated {len(made)} of {len(names)} secrets in {folder.path}")
    for entry in made:
        typer.echo(entry)


@app.command("list")
def list_(scenario: ScenarioName, given: Set = None, name: Name = None) -> None:
    """List the secrets of a scenario: age, mode and state, never the value."""
    from rich.table import Table

    from stackctl.console import out

    folder, names = _folder_and_names(scenario, given, name)
    table = Table("secret", "mode", "age", "state", box=None, pad_edge=False)
    for state in folder.states(names):
        age = f"{(datetime.now(UTC) - state.changed).days} d" if state.changed else ""
        table.add_row(state.name, state.mode, age, state.problem or "ok")
    out().print(table)


@app.command("check")
def check(scenario: ScenarioName, given: Set = None, name: Name = None) -> None:
    """Check every secret of a scenario; the first bad one ends with exit code 2."""
    folder, names = _folder_and_names(scenario, given, name)
    for entry in names:
        folder.read(entry)
    typer.echo(f"{len(names)} secrets are good")
