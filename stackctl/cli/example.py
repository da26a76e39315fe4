"""`stackctl example`: run a lesson on a stack, or copy its files."""

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from stackctl.cli.options import Python, StackName, recorded


def complete_example(incomplete: str) -> Iterable[str]:
    """Names of examples, for the shell."""
    from stackctl.client.examples import EXAMPLES

    return [name for name in EXAMPLES if name.startswith(incomplete)]


def example(
    name: Annotated[
        str | None, typer.Argument(help="which example; all are listed where not given",
                                   autocompletion=complete_example, metavar="EXAMPLE")
    ] = None,
    stack: StackName = None,
    only: Annotated[str | None, typer.Option(help="run one part", metavar="PART")] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="new folder for the executed notebooks"),
    ] = None,
    copy: Annotated[
        Path | None, typer.Option(help="copy the files into this new folder instead of running")
    ] = None,
    python: Python = sys.executable,
) -> None:  # fmt: skip
    """Run an example on a stack: quickstart, penguins or remote."""
    from stackctl.client import examples as shipped
    from stackctl.console import say
    from stackctl.operations import example as running
    from stackctl.operations.clients import client_of

    if name is None:
        _list()
        return
    found = shipped.find(name)
    parts = found.part(only) if only else found.parts
    if copy is not None:
        shipped.copy(found, copy)
        say(f'copied to {copy}; to run it by yourself: eval "$(stackctl env {stack or ""})"')
        return
    chosen = recorded(stack)
    user = client_of(chosen, packages=found.packages, python=python, progress=say)
    say(f"example {found.name} on stack {chosen.name} ({chosen.scenario.name})")
    running.run(found, parts, chosen.name, user, output=output, progress=say)
    say(f"look at it: {shlex.join(['stackctl', 'open', chosen.name])}")


def _list() -> None:
    from stackctl.client import examples as shipped
    from stackctl.console import out, table

    rows = [(one.name, one.shows, shipped.titles(one.parts)) for one in shipped.EXAMPLES.values()]
    out().print(table("example", "shows", "parts", rows=rows))
