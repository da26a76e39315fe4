"""`stackctl render`: the files of a stack, without deploying it."""

from pathlib import Path
from typing import Annotated

import typer

from stackctl.cli.options import (
    Name,
    Port,
    RuntimeName,
    ScenarioName,
    Set,
    as_files,
    flags,
)


def render(
    scenario: ScenarioName,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="folder; standard output where not given")
    ] = None,
    given: Set = None,
    name: Name = None,
    port: Port = None,
    runtime: RuntimeName = None,
) -> None:
    """Write compose.yaml, entrypoint scripts, Dockerfile and .env of a scenario.

    The files name the secrets' files, which `stackctl secrets init` makes; they hold no secret.
    """
    from stackctl.console import say
    from stackctl.operations.preflight import refuse_others_files
    from stackctl.stack import write_files

    bundle = as_files(scenario, flags(given, name, port, runtime)).render()
    if output is None:
        for path, (text, _) in bundle.files.items():
            if not path.endswith(".lock"):
                typer.echo(f"# --- {path}\n{text}")
        return
    refuse_others_files(output, bundle)
    write_files(output, bundle.files)
    say(f"wrote {len(bundle.files)} files to {output}")
