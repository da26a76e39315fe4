"""`stackctl deploy scenario-5` beside `docker compose up --wait` of the same files.

Both start from nothing but images, secrets and files: no container, network or volume.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from stackctl.runtimes.docker import compose
from stackctl.runtimes.docker.runtime import Docker
from stackctl.stack import Home

NAME, PORT, ROUNDS = "benchmark", "5990", 3


def main() -> None:
    """Print the seconds of each round and the ratio of the medians."""
    docker = Docker()
    environment = compose.environment()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder).resolve())
        stack = home.stack(NAME)
        stackctl = [sys.executable, "-m", "stackctl", "--home", folder]
        deploy = [*stackctl, "deploy", "scenario-5", "--name", NAME, "--port", PORT]
        up = docker.compose.up(stack, wait=True)
        down = [*docker.compose.down(stack), "--volumes"]
        seconds: dict[str, list[float]] = {"stackctl deploy": [], "compose up --wait": []}
        subprocess.run(deploy, check=True, capture_output=True)
        for _ in range(ROUNDS):
            for name, command in (("compose up --wait", up), ("stackctl deploy", deploy)):
                subprocess.run(down, check=True, capture_output=True, env=environment)
                start = time.monotonic()
                subprocess.run(command, check=True, capture_output=True, env=environment)
                seconds[name].append(time.monotonic() - start)
        subprocess.run(
            [*stackctl, "remove", NAME, "--volumes", "--confirm", NAME],
            check=True, capture_output=True,
        )  # fmt: skip
    for name, found in seconds.items():
        print(f"{name:20}", " ".join(f"{value:6.1f} s" for value in found))
    medians = [statistics.median(found) for found in seconds.values()]
    print(f"ratio of the medians {medians[0] / medians[1]:.2f}")


if __name__ == "__main__":
    main()
