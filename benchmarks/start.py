"""`stackctl --help` beside `python -c pass`."""

import statistics
import subprocess
import sys
import time

ROUNDS = 15


def main() -> None:
    """Print the median milliseconds of both, and their ratio."""
    commands = {
        "stackctl --help": [sys.executable, "-m", "stackctl", "--help"],
        "python -c pass": [sys.executable, "-c", "pass"],
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            start = time.monotonic()
            subprocess.run(command, check=True, capture_output=True)
            seconds[name].append(time.monotonic() - start)
    medians = [statistics.median(found) for found in seconds.values()]
    for name, median in zip(seconds, medians, strict=True):
        print(f"{name:18}{median * 1000:6.0f} ms")
    print(f"ratio {medians[0] / medians[1]:.1f}")


if __name__ == "__main__":
    main()
