"""`stackctl config`: every effective setting and where it came from."""

import json
from typing import Annotated

import typer

from stackctl.cli.options import Name, Port, ScenarioName, Set, flags, resolved


def config(
    scenario: ScenarioName = "scenario-3b",
    given: Set = None,
    name: Name = None,
    port: Port = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """Print every setting: its effective value and where that came from."""
    _, effective = resolved(scenario, flags(given, name, port))
    rows = effective.rows()
    if as_json:
        values = {key: {"value": value, "source": source} for key, value, source in rows}
        typer.echo(json.dumps(values, indent=2))
        return
    from rich.markup import escape
    from rich.table import Table

    from stackctl.console import out

    table = Table("setting", "value", "from", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(escape, row))
    out().print(table)
