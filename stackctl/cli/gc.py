"""`stackctl gc`: take away for good what was deleted in MLflow."""

from typing import Annotated

import typer

from stackctl.cli.options import StackName, recorded


def gc(
    stack: StackName = None,
    older_than: Annotated[
        str, typer.Option("--older-than", help="deleted at least so long ago", metavar="AGE")
    ] = "30d",
    yes: Annotated[
        bool, typer.Option("--yes", help="delete it; without, it is only shown")
    ] = False,
) -> None:
    """Take away for good what was deleted in MLflow: runs, logged models, experiments, artifacts.

    Without --yes nothing is deleted.
    """
    from rich.table import Table

    from stackctl.console import out, say, size, visible
    from stackctl.operations import gc as operation

    chosen = recorded(stack)
    deleted = operation.gc(chosen, operation.seconds(older_than), delete=yes)
    table = Table("kind", "id", "name", "experiment", "size", box=None, pad_edge=False)
    for thing in deleted.things:
        more = f", traces: {thing['traces']}" if thing["traces"] else ""
        name = visible(thing["name"])
        table.add_row(thing["kind"] + more, thing["id"], name, thing["experiment"],
                      size(thing["bytes"]))  # fmt: skip
    if deleted.things:
        out().print(table)
    for kept in deleted.kept:
        say(f"kept: {kept['what']}: {kept['why']}")
    count, total = len(deleted.things), size(sum(t["bytes"] for t in deleted.things))
    if not deleted.things:
        say(f"nothing to delete that was deleted in MLflow {older_than} ago or longer")
    elif yes:
        left = count - len(deleted.gone)
        say(
            f"deleted {len(deleted.gone)} for good"
            + (f"; {left} stayed, because they changed meanwhile" if left else "")
        )
    else:
        say(f"{count} would go, {total}; delete them: "
            f"stackctl gc {chosen.name} --older-than {older_than} --yes")  # fmt: skip
