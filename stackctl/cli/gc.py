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
    from rich.markup import escape
    from rich.table import Table

    from stackctl.console import out, say, size
    from stackctl.operations.gc import collect, seconds

    found = recorded(stack)
    garbage = collect(found, seconds(older_than), delete=yes)
    table = Table("kind", "id", "name", "experiment", "size", box=None, pad_edge=False)
    for thing in garbage.things:
        more = f", traces: {thing['traces']}" if thing["traces"] else ""
        table.add_row(thing["kind"] + more, thing["id"], escape(thing["name"]), thing["experiment"],
                      size(thing["bytes"]))  # fmt: skip
    if garbage.things:
        out().print(table)
    for kept in garbage.kept:
        say(f"kept: {kept['what']}: {kept['why']}")
    count, total = len(garbage.things), size(sum(t["bytes"] for t in garbage.things))
    if not garbage.things:
        say(f"nothing to delete that was deleted in MLflow {older_than} ago or longer")
    elif yes:
        left = count - len(garbage.deleted)
        say(
            f"deleted {len(garbage.deleted)} for good"
            + (f"; {left} stayed, because they changed meanwhile" if left else "")
        )
    else:
        say(f"{count} would go, {total}; delete them: "
            f"stackctl gc {found.name} --older-than {older_than} --yes")  # fmt: skip
