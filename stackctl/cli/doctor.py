"""`stackctl doctor`: what a deploy depends on, and how to mend it."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from stackctl.cli.options import home


def doctor(as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False) -> None:
    """Look at daemon, Compose, disk, memory, ports, secrets and clock; exit 3 on a problem."""
    from stackctl.operations.doctor import examine

    findings = list(examine(home()))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        signs = {"ok": "ok      ", "warning": "warning ", "problem": "PROBLEM "}
        for finding in findings:
            mend = f"\n          to mend it: {finding.mend}" if finding.mend else ""
            typer.echo(f"{signs[finding.level]}  {finding.subject}: {finding.told}{mend}")
    if any(finding.level == "problem" for finding in findings):
        raise typer.Exit(3)
