"""Run an example on a stack."""

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from stackctl.client import examples as shipped
from stackctl.client.examples import Example, Part
from stackctl.client.process import Client
from stackctl.errors import ExampleFailed
from stackctl.progress import Progress


def run(
    example: Example,
    parts: Sequence[Part],
    stack: str,
    client: Client,
    *,
    output: Path | None,
    progress: Progress,
) -> None:
    """Run parts of an example one after another in a folder that vanishes at the end.

    Args:
        example: Of which.
        parts: Which.
        stack: Its name, for messages.
        client: Runs them; what programs print goes where this process prints.
        output: A new or empty folder for executed notebooks.
        progress: Told what begins and how long it took.

    Raises:
        ExampleFailed: One did; those after it were not begun.
        UserError: `output` has something in it.
    """
    if output is not None:
        shipped.refuse_full(output)
    with tempfile.TemporaryDirectory(prefix="stackctl-example-") as name:
        folder = Path(name)
        copied = folder / example.folder
        shipped.copy(example, copied)
        shipped.copy_notebook_runner(folder)
        for part in parts:
            progress(f"{part} …")
            start = time.monotonic()
            source = copied / part.path
            words = [source.name, *part.arguments]
            executed = folder / "executed" / source.name
            if part.is_notebook:
                executed.parent.mkdir(exist_ok=True)
                words = [str(folder / shipped.NOTEBOOK_RUNNER), source.name, str(executed)]
            code = client.run(words, source.parent)
            if output is not None and executed.exists():
                output.mkdir(parents=True, exist_ok=True)
                shutil.copy(executed, output)
            if code != 0:
                raise ExampleFailed(str(part), code, stack, client.age)
            progress(f"{part}: done in {time.monotonic() - start:.1f} s")
