"""`stackctl backup`: write, list and verify archives of a stack."""

from pathlib import Path
from typing import Annotated, Any

import typer

from stackctl.cli.options import StackName, WithDefault, home, passphrase, recorded


class _StackOrCommand(WithDefault):
    """A group whose first word may also be a stack: then it is `create`."""

    default = "create"


app = typer.Typer(
    cls=_StackOrCommand,
    help="Back up a stack: stackctl backup [STACK] [-o FILE] [--with-secrets] "
    "[--passphrase-file FILE].",
)
PassphraseFile = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="file that holds the passphrase of the secrets"),
]
ArchiveFile = Annotated[Path, typer.Argument(help="an archive", metavar="FILE")]


@app.command("create", hidden=True)
def create(
    stack: StackName = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="the archive; backups/STACK-TIME.tar where not given"),
    ] = None,
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="put the secrets in too, encrypted")
    ] = False,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Write database, artifacts and settings of a running stack into one archive.

    `stackctl backup [STACK]` does the same.
    """
    from stackctl.console import meter, say, size
    from stackctl.errors import LEFT_OUT
    from stackctl.operations.backup import backup, default_path
    from stackctl.operations.elsewhere import left_out

    found = recorded(stack)
    path = (output or default_path(home(), found.name)).absolute()
    words = passphrase(passphrase_file, twice=True) if with_secrets else ""
    with meter() as shown:
        about = backup(found, path, passphrase=words, meter=shown, progress=say)
    for note in about["notes"]:
        say(note)
    say(f"{_counts(about)}; {size(path.stat().st_size)}")
    typer.echo(str(path))
    if left_out(about):
        raise typer.Exit(LEFT_OUT)


@app.command("list")
def list_(
    place: Annotated[
        Path | None,
        typer.Argument(help="a folder or a file; backups/ of the home folder where not given",
                       metavar="PLACE", exists=True),
    ] = None,
) -> None:  # fmt: skip
    """List the archives of a folder, or tell of one."""
    from stackctl.console import out, size, table
    from stackctl.operations.backup import FOLDER, listed

    known = ("stack", "scenario", "mlflow", "created")
    rows = [
        (
            entry.path.name,
            *(str(entry.manifest.get(key, "?")) for key in known),
            size(entry.size),
            _range(entry.manifest["counts"]["runs"]) if entry.manifest else entry.problem,
        )
        for entry in listed(place or home().path / FOLDER)
    ]
    out().print(table("file", *known, "size", "runs", rows=rows))


@app.command("verify")
def verify(file: ArchiveFile) -> None:
    """Compare every byte of an archive with its checksums."""
    from stackctl.archive import Archive
    from stackctl.console import meter

    with meter() as shown, Archive(file) as archive:
        shown.expect(f"verifying {file.name}", int(archive.manifest["bytes"]))
        archive.verify(shown.advance)
        typer.echo(f"{file} is whole: {archive.manifest['members']} members; "
                   f"{_counts(archive.manifest)}")  # fmt: skip


@app.command("prune")
def prune(
    stack: Annotated[str, typer.Argument(help="a stack's name", metavar="STACK")],
    keep: Annotated[
        str,
        typer.Option(
            "--keep", metavar="WHAT",
            help="what stays: 7d,4w,6m for the newest of 7 days, 4 weeks and 6 months",
        ),
    ],
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="where; backups/ of the home folder where not given",
                     exists=True, file_okay=False),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="take them away; without, it is only shown")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only show it, whatever else is said")]
    = False,
) -> None:  # fmt: skip
    """Take away a stack's archives but those that are to stay, once the newest is verified."""
    from stackctl.console import meter, out, say, size, table
    from stackctl.operations import retention
    from stackctl.operations.backup import FOLDER

    where = home()
    chosen = retention.Keep.parse(keep)
    choices = retention.choose(where.stack(stack), folder or where.path / FOLDER, chosen)
    rows = [
        (one.archive.path.name, str(one.archive.manifest.get("created", "?")),
         size(one.archive.size), ", ".join(one.reasons) or "goes")
        for one in choices
    ]  # fmt: skip
    out().print(table("file", "created", "size", "stays by", rows=rows))
    going = [one.archive for one in choices if not one.reasons]
    freed = size(sum(one.size for one in going))
    if not going:
        say("every one of them stays")
    elif dry_run or not yes:
        say(f"{len(going)} would go, {freed}; nothing was changed; to do it, add --yes")
    else:
        with meter() as shown:
            gone = retention.prune(choices, shown)
        say(f"{len(gone)} are gone, {freed}")


def _counts(about: dict[str, Any]) -> str:
    return ", ".join(
        f"{_range(number)} {kind.replace('_', ' ')}"
        for kind, number in about["counts"].items()
        if number[1]
    )


def _range(number: list[int]) -> str:
    least, most = number
    return str(least) if least == most else f"{least} to {most}"
