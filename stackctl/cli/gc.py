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
    from stackctl.console import out, say, size, table
    from stackctl.operations import gc as operation

    chosen = recorded(stack)
    deleted = operation.gc(chosen, operation.seconds(older_than), delete=yes)
    rows = [
        (f"{thing['kind']}{f', traces: {more}' if (more := thing['traces']) else ''}",
         thing["id"], thing["name"], thing["experiment"], size(thing["bytes"]))
        for thing in deleted.things
    ]  # fmt: skip
    if rows:
        out().print(table("kind", "id", "name", "experiment", "size", rows=rows))
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
