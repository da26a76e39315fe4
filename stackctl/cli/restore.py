"""`stackctl restore`: fill a new or an empty stack from an archive."""

from typing import TYPE_CHECKING, Annotated

import typer

from stackctl.cli.backup import ArchiveFile, PassphraseFile
from stackctl.cli.options import (
    Name,
    Port,
    RuntimeName,
    Set,
    Timeout,
    home,
    passphrase,
    site_of,
)

if TYPE_CHECKING:
    from stackctl.archive import Archive
    from stackctl.operations.site import Site


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
    timeout: Timeout = 180,
) -> None:
    """Fill a stack from an archive: a new one, which is deployed, or one that is empty.

    A new stack has the settings of the one that was backed up, where none are given here.
    """
    from stackctl.archive import Archive
    from stackctl.console import meter, say
    from stackctl.operations.backup import default_path
    from stackctl.operations.restore import Wishes
    from stackctl.operations.restore import restore as restore_stack

    with Archive(file) as archive:
        site = _site(archive, given, name, port, runtime)
        words = passphrase(passphrase_file, twice=False) if with_secrets else ""
        before = default_path(home(), f"{site.stack.name}-before-restore") if replace else None
        with meter() as shown:
            restore_stack(archive, site, Wishes(before, words, timeout), meter=shown, progress=say)
    typer.echo(f"restored {file} into stack {site.stack.name}")


def _site(
    archive: "Archive",
    given: list[str] | None,
    name: str | None,
    port: str | None,
    runtime: str | None,
) -> "Site":
    """The stack that is to hold it: one that is there, else one as it was."""
    from stackctl import scenario, settings
    from stackctl.errors import UserError
    from stackctl.operations.site import Site
    from stackctl.runtimes.choice import choose

    about, where = archive.manifest, home()
    wanted = name or str(about["stack"])
    if (manifest := where.stack(wanted).manifest()) is not None:
        # The command that made it goes on where it was interrupted.
        unfinished = manifest.status == "restoring" or not manifest.deployed_at
        if not unfinished and (given or port or runtime):
            raise UserError(
                f"stack {wanted!r} is there, and a restore keeps its settings",
                hint="leave --set, --port and --runtime out, or choose another --name",
            )
        return site_of(where.stack(wanted), manifest)
    found = scenario.load(str(about["scenario"]), where.scenarios)
    flags = [*(given or []), f"name={wanted}"]
    flags += [f"port={port}"] if port is not None else []
    flags += [f"runtime={runtime}"] if runtime is not None else []
    effective = settings.resolve(
        found, flags=flags, dotenv=where.dotenv, kept=(about["settings"], f"{archive.path}")
    )
    stack = where.stack(effective.settings.name)
    return Site(stack, found, effective, choose(stack, found, effective).runtime)
