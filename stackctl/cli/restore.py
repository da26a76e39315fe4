"""`stackctl restore`: fill a new or an empty stack from an archive."""

from typing import Annotated

import typer

from stackctl.cli.backup import ArchiveFile, PassphraseFile
from stackctl.cli.options import (
    Name,
    Port,
    RuntimeName,
    Set,
    Timeout,
    flags,
    home,
    passphrase,
)


def restore(
    file: ArchiveFile,
    given: Set = None,
    name: Name = None,
    port: Port = None,
    runtime: RuntimeName = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="replace what the stack holds; it is backed up first")
    ] = False,
    with_secrets: Annotated[
        bool, typer.Option("--with-secrets", help="use the secrets that the archive holds")
    ] = False,
    passphrase_file: PassphraseFile = None,
    as_it_was: Annotated[
        bool,
        typer.Option(
            "--as-it-was",
            help="take settings from the archive too that name "
            "addresses and images of the machine that it was made on",
        ),
    ] = False,
    timeout: Timeout = 180,
) -> None:
    """Fill a stack from an archive: a new one, which is deployed, or one that is empty.

    A new stack has the settings of the one that was backed up, where none are given here.
    """
    from stackctl.archive import Archive
    from stackctl.console import meter, say
    from stackctl.operations.backup import default_path
    from stackctl.operations.restore import Options, destination
    from stackctl.operations.restore import restore as restore_stack

    with Archive(file) as archive:
        chosen = flags(given, None, port, runtime)
        stack = destination(archive, home(), name, chosen, as_it_was=as_it_was)
        words = passphrase(passphrase_file, twice=False) if with_secrets else ""
        before = default_path(home(), f"{stack.name}-before-restore") if replace else None
        with meter() as shown:
            restore_stack(
                archive, stack, Options(before, words, timeout), meter=shown, progress=say
            )
    typer.echo(f"restored {file} into stack {stack.name}")
