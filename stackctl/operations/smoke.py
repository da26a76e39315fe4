"""Smoke: the full journey of a client through a stack, what was tried, with which outcome."""

import contextlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

from stackctl.client.process import Client
from stackctl.errors import SmokeFailed
from stackctl.secrets import redact

# Where the client would try for many minutes.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "60", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3"}
_SPACE = 200_000_000


@dataclass(frozen=True)
class Step:
    """What was tried once.

    Attributes:
        name: What.
        outcome: `passed`, `failed`, or `skipped` where what it needs failed.
        seconds: How long it took.
        detail: What was found, or why it failed.
    """

    name: str
    outcome: str
    seconds: float
    detail: str


def journey(client: Client, *, secrets: Sequence[str], begins: Callable[[str], None]) -> list[Step]:
    """Take the journey; returns every step, also those that could not be tried.

    Args:
        client: Takes it.
        secrets: Values that no text may hold.
        begins: Told the name of each step.

    Raises:
        SmokeFailed: The client ended before it could try anything.
    """
    with tempfile.TemporaryDirectory(prefix="stackctl-smoke-") as name:
        folder = Path(name)
        # Beside stackctl's modules it would import those instead of Python's.
        program = folder / "journey.py"
        program.write_bytes(files("stackctl.proof").joinpath("journey.py").read_bytes())
        patient = replace(client, environment={**_PATIENCE, **client.environment})
        with (folder / "told").open("w+", encoding="utf-8", errors="replace") as told:
            words = [program.name]
            steps, planned = [], []
            with patient.started(words, folder, out=subprocess.PIPE, err=told) as process:
                assert process.stdout is not None  # noqa: S101 - it is a pipe
                for line in process.stdout:
                    event = json.loads(line)
                    if "of" in event:
                        planned = event["of"]
                        begins(event["step"])
                        continue
                    detail = redact(event.pop("detail"), list(secrets))
                    steps.append(Step(event["step"], event["outcome"], event["seconds"], detail))
                code = process.wait()
            told.seek(0)
            last = redact("\n".join(told.read().splitlines()[-20:]), list(secrets))
    if not planned:
        raise SmokeFailed(
            f"the client ended with exit code {code} before it tried anything",
            hint=f"does it work by itself: {client.python} -c 'import mlflow'",
            details=last,
        )
    done = {step.name for step in steps}
    for name in planned:
        if name not in done:
            how = "failed" if name == planned[len(done)] else "skipped"
            steps.append(Step(name, how, 0.0, f"the client ended with exit code {code}"))
    return steps


def junit(steps: Sequence[Step], stack: str) -> str:
    """The steps as JUnit's XML, which CI systems show as tests."""
    suite = ElementTree.Element(
        "testsuite",
        name=f"stackctl smoke {stack}",
        tests=str(len(steps)),
        failures=str(sum(step.outcome == "failed" for step in steps)),
        skipped=str(sum(step.outcome == "skipped" for step in steps)),
        errors="0",
        time=f"{sum(step.seconds for step in steps):.3f}",
    )
    for step in steps:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"smoke.{stack}", name=step.name,
            time=f"{step.seconds:.3f}",
        )  # fmt: skip
        if step.outcome == "failed":
            ElementTree.SubElement(case, "failure", message=_printable(step.detail))
        elif step.outcome == "skipped":
            ElementTree.SubElement(case, "skipped", message=_printable(step.detail))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def failure(
    steps: Sequence[Step], stack: str, client: Client, folders: Sequence[Path]
) -> SmokeFailed | None:
    """What to raise for these steps; None where none failed.

    Args:
        steps: Of a journey.
        stack: The stack's name.
        client: Whose it was.
        folders: Where the journey may have found a disk full.
    """
    failed = [step for step in steps if step.outcome == "failed"]
    if not failed:
        return None
    full = ", ".join(_nearly_full(folders))
    return SmokeFailed(
        f"{len(failed)} of {len(steps)} steps failed on stack {stack!r}, first {failed[0].name}",
        hint=f"free some disk space: {full}" if full
        else client.age or f"see what the services say: stackctl logs --stack {stack}",
    )  # fmt: skip


def _nearly_full(folders: Sequence[Path]) -> Iterator[str]:
    for folder in folders:
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(folder).free
            if free < _SPACE:
                yield f"{folder} has {free / 1e6:.0f} MB"


def _printable(text: str) -> str:
    """XML 1.0 has no place for control characters."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)
