"""`stackctl scenarios`: list them, or show one as a diagram."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from stackctl.cli.options import complete_scenario, home

if TYPE_CHECKING:
    from stackctl.scenario import Scenario


class DiagramFormat(StrEnum):
    """How a scenario is drawn."""

    text = "text"
    mermaid = "mermaid"
    svg = "svg"


def scenarios(
    name: Annotated[
        str | None,
        typer.Argument(help="show this one as a diagram", autocompletion=complete_scenario,
                       metavar="SCENARIO"),
    ] = None,
    format_: Annotated[
        DiagramFormat, typer.Option("--format", help="how the diagram is drawn")
    ] = DiagramFormat.text,
) -> None:  # fmt: skip
    """List the scenarios, or show one: client, server, stores, and what flows between them."""
    from stackctl import scenarios

    own = home().scenarios
    if name is not None:
        typer.echo(_draw(scenarios.load(name, own), format_))
        return
    from rich.table import Table

    from stackctl.console import out

    table = Table(box=None, pad_edge=False)
    table.add_column("scenario", no_wrap=True)
    for column in ("backend store", "artifact store", "written by"):
        table.add_column(column)
    table.add_column("port", justify="right", no_wrap=True)
    for found in scenarios.load_all(own).values():
        ports = [str(v) for k, v in found.settings.items() if k in ("port", "artifacts_port")]
        table.add_row(
            found.name, found.backend_kind.label, found.artifact_kind.label,
            found.writer, ", ".join(ports) or "5000",
        )  # fmt: skip
    out().print(table)


def _draw(found: "Scenario", as_: DiagramFormat) -> str:
    if as_ is DiagramFormat.svg:
        from stackctl.drawing import picture

        return picture.svg(found)
    from stackctl.drawing import diagram

    return diagram.mermaid(found) if as_ is DiagramFormat.mermaid else diagram.text(found)
