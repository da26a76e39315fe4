"""`stackctl drill`: rehearse the restore of an archive."""

from typing import Annotated

import typer

from stackctl.cli.backup import ArchiveFile
from stackctl.cli.options import RuntimeName, home


def drill(
    file: ArchiveFile,
    runtime: RuntimeName = None,
    timeout: Annotated[
        float, typer.Option(help="seconds for the services to become ready", min=1)
    ] = 180,
) -> None:
    """Restore an archive into a scratch stack, compare it with the archive, and remove it."""
    from stackctl.archive import Archive
    from stackctl.console import meter, say
    from stackctl.operations.drill import drill as drill_archive

    with Archive(file) as archive, meter() as shown:
        found = drill_archive(
            archive, home(), runtime or "auto", timeout=timeout, meter=shown, progress=say
        )
    held = ", ".join(f"{n} {kind.replace('_', ' ')}" for kind, n in found.counts.items() if n)
    typer.echo(
        f"{file} can be restored: {held or 'nothing'}; {found.members} artifacts are equal; "
        f"a restore takes {found.seconds:.0f} s"
    )
