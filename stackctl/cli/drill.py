"""`stackctl drill`: rehearse the restore of an archive."""

from typing import Annotated

import typer

from stackctl.cli.backup import ArchiveFile
from stackctl.cli.options import RuntimeName, Timeout, home


def drill(
    file: ArchiveFile,
    runtime: RuntimeName = None,
    as_it_was: Annotated[
        bool, typer.Option("--as-it-was", help="run the images that the archive names")
    ] = False,
    timeout: Timeout = 180,
) -> None:
    """Restore an archive into a scratch stack, compare it with the archive, and remove it."""
    from stackctl.archive import Archive
    from stackctl.console import counts, meter, say
    from stackctl.operations.drill import drill as drill_archive

    with Archive(file) as archive, meter() as shown:
        found = drill_archive(
            archive,
            home(),
            runtime or "auto",
            as_it_was=as_it_was,
            timeout=timeout,
            meter=shown,
            progress=say,
        )
    held = counts(found.counts)
    typer.echo(
        f"{file} can be restored: {held}; {found.members} artifacts are equal; "
        f"a restore takes {found.seconds:.0f} s"
    )
