"""`python -m tests.engine up|status|down`: the tests' Docker Engine by hand."""

import argparse
import sys

from tests.engine import EngineUnavailable, down, ensure, status
from tests.engine.engine import Engine


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 where an engine answers (or `down` is done), 1 where none does."""
    parser = argparse.ArgumentParser(prog="python -m tests.engine", description=__doc__)
    parser.add_argument("command", choices=["up", "status", "down"])
    command = parser.parse_args(arguments).command
    if command == "down":
        print("stopped" if down() else "no engine of ours is running")
        return 0
    try:
        engine = ensure() if command == "up" else status()
    except EngineUnavailable as unavailable:
        print(unavailable.reason, file=sys.stderr)
        return 1
    if engine is None:
        print("no engine answers")
        return 1
    _print(engine)
    return 0


def _print(engine: Engine) -> None:
    owner = "started by these tests" if engine.ours else "not ours"
    print(f"Docker Engine {engine.version}, {owner}")
    print(f"DOCKER_HOST={engine.host}")


if __name__ == "__main__":
    sys.exit(main())
