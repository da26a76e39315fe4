"""`stackctl smoke`: everything that a client may ask of a stack, with the real client."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from stackctl.cli.options import Python, StackName, recorded


def smoke(
    stack: StackName = None,
    junit: Annotated[
        Path | None, typer.Option(help="write the outcome as JUnit's XML, for CI", metavar="FILE")
    ] = None,
    python: Python = sys.executable,
) -> None:
    """Try everything that a client may ask of a stack, with the real mlflow client.

    What it makes is deleted again, but for a deleted experiment, which MLflow keeps.
    """
    import tempfile

    from stackctl.console import out, say, visible, working
    from stackctl.errors import UserError
    from stackctl.operations import smoke as smoking
    from stackctl.operations.clients import client_of

    if junit is not None and not junit.absolute().parent.is_dir():
        raise UserError(f"--junit {junit}: there is no such folder", hint="create it first")
    found = recorded(stack)
    user = client_of(found, packages=["mlflow"], python=python, progress=say)
    with working("smoke") as tell:
        steps = smoking.journey(user, secrets=found.secrets.values(), begins=tell)
    if junit is not None:
        junit.write_text(smoking.junit(steps, found.name), encoding="utf-8")
    from rich.table import Table

    table = Table("tried", "outcome", box=None, pad_edge=False)
    table.add_column("seconds", justify="right")
    table.add_column("found")
    for step in steps:
        detail = "\n".join(map(visible, step.detail.splitlines()))
        table.add_row(step.name, step.outcome, f"{step.seconds:.2f}", detail)
    out().print(table)
    folders = [Path(tempfile.gettempdir()), found.data]
    if failed := smoking.failure(steps, found.name, user, folders):
        raise failed
    say(f"{len(steps)} steps passed on stack {found.name} ({found.scenario.name}) "
        f"with mlflow {user.mlflow}")  # fmt: skip
