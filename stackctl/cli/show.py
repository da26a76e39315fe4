"""`stackctl show`: the stacks, or one of them in full."""

import json
import os
import time
from typing import TYPE_CHECKING, Annotated

import typer

from stackctl.cli.options import StackName, home, recorded

if TYPE_CHECKING:
    from rich.console import Group

    from stackctl.operations.show import Overview


def show(
    stack: StackName = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="look again every two seconds")] = False,
) -> None:
    """List the stacks; with a name: services, ports, volumes, secrets, disk use and addresses."""
    stack = stack or os.environ.get("STACKCTL_STACK")
    if stack is None:
        _list(as_json)
        return
    from stackctl.operations.show import look

    found = recorded(stack)
    if watch:
        from rich.live import Live

        with Live(_page(look(found))) as live:
            while True:
                time.sleep(2)
                live.update(_page(look(found)))
    seen = look(found)
    if as_json:
        typer.echo(json.dumps(seen.as_json(), indent=2))
        return
    from stackctl.console import out

    out().print(_page(seen))


def _list(as_json: bool) -> None:
    from stackctl.console import out, say, table
    from stackctl.errors import MachineError
    from stackctl.operations.show import brief
    from stackctl.runtimes import choice

    where = home()
    rows, unknown = [], {}
    for stack in where.stacks():
        manifest = stack.require_manifest()
        try:
            rows.append(brief(stack, choice.runtime_of(manifest)))
        except MachineError as error:
            unknown[manifest.runtime] = error
            rows.append(brief(stack, None))
    for name, reason in unknown.items():
        say(f"states on runtime {name} are as last known: {reason}")
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    if not rows:
        say(f"no stack was deployed from {where.path}; run: stackctl deploy scenario-3b")
        return
    out().print(table("stack", "scenario", "state", "UI", rows=[[*row.values()] for row in rows]))


def _certificate(seen: "Overview") -> str:
    found = seen.certificate
    if found is None:
        return ""
    return f"until {found}: {found.mend}" if found.mend else f"until {found}"


def _page(seen: "Overview") -> "Group":
    from rich.console import Group
    from rich.table import Table

    from stackctl.console import size, table, visible

    facts = Table.grid(padding=(0, 2))
    manifest = seen.manifest
    for key, value in (
        ("stack", f"{manifest.name} ({seen.state})"),
        ("scenario", manifest.scenario),
        ("runtime", manifest.runtime),
        ("tracking URI", seen.tracking_uri),
        ("UI", seen.ui),
        ("certificate", _certificate(seen)),
        ("MLflow", manifest.mlflow),
        ("deployed", manifest.deployed_at),
        ("home", seen.home),
        ("data", f"{seen.data} ({size(seen.data_bytes)})" if seen.data else ""),
        ("elsewhere", ", ".join(seen.elsewhere)),
        ("networks", ", ".join(seen.networks)),
    ):
        if value:
            facts.add_row(key, visible(value))
    services = [(one.name, str(one), ", ".join(one.ports), one.program) for one in seen.services]
    parts: list[Table | str] = [facts, "", table("service", "state", "ports", "image",
                                                 rows=services)]  # fmt: skip
    if seen.volumes:
        volumes = [(name, size(used)) for name, used in seen.volumes.items()]
        parts += ["", table("volume", "size", rows=volumes)]
    if seen.secrets:
        secrets = [
            (secret.name, secret.mode,
             secret.changed.strftime("%Y-%m-%d %H:%M") if secret.changed else "",
             secret.problem or "ok")
            for secret in seen.secrets
        ]  # fmt: skip
        parts += ["", table("secret", "mode", "changed", "state", rows=secrets)]
    return Group(*parts)
