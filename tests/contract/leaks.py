"""Where a stack's secrets are beside their own files."""

import subprocess
from collections.abc import Mapping

from tests.contract.driving import Deployed
from tests.contract.machine import Machine


def leaks(
    deployed: Deployed, machine: Machine, former: Mapping[str, str] | None = None
) -> list[str]:
    """Every place outside the secrets' folder where a secret of the stack can be read.

    `former` are values that secrets had before.
    """
    folder = deployed.stack.secrets.path
    # A scenario that keeps files alone has none.
    files = folder.iterdir() if folder.is_dir() else ()
    secrets = {p.name: p.read_text() for p in files if p.name != "aws_credentials"}
    secrets |= {f"former {name}": value for name, value in (former or {}).items()}
    arguments = subprocess.run(
        ["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True
    )
    places = {"ps": arguments.stdout, **machine.told(deployed.stack)}
    for path in deployed.stack.folder.rglob("*"):
        if path.is_file():
            places[str(path)] = path.read_text(errors="replace")
    for command in (
        ["show", deployed.name, "--json"],
        ["env", deployed.name],
        ["plan", *deployed.words[1:], "--set", "workers=3"],
        ["logs", "--stack", deployed.name],
        ["doctor"],
    ):
        done = deployed.user.run(*command)
        places[" ".join(command)] = done.stdout + done.stderr
    return [
        f"{name} is in {place}"
        for place, text in places.items()
        for name, value in secrets.items()
        if value in text
    ]
