"""Rendered scripts in a real bash, with programs on PATH that tell what they were given."""

import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

# Python itself, where a script computes with it, is no program that tells.
TELL = f"""\
#!/bin/bash
[ "${{0##*/}} $1" != "python3 -I" ] || exec {shlex.quote(sys.executable)} "$@"
"""
TELL += """\
at=$(dirname "$0")/../told
mkdir -p "$at"
number=$(find "$at" -name '*.words' | wc -l)
printf '%s\\0' "${0##*/}" "$@" > "$at/$number.words"
env -0 > "$at/$number.env"
{ cat; for word; do [ "${word#--init-file=}" = "$word" ] || cat "${word#*=}"; done; } \\
  > "$at/$number.input"
"""


@dataclass(frozen=True)
class Call:
    """One call of a program: its name, its arguments, its environment, and what it was to read."""

    program: str
    arguments: list[str]
    variables: dict[str, str]
    input: bytes


def programs(folder: Path, *names: str) -> Path:
    """Programs in `folder/bin` that keep what they are given below `folder`."""
    (folder / "bin").mkdir(parents=True)
    for name in names:
        (folder / "bin" / name).write_text(TELL)
        (folder / "bin" / name).chmod(0o755)
    return folder / "bin"


class Failed(Exception):
    """A script did not end well; what it said on stderr."""


def calls(folder: Path, script: str, *, cwd: Path, **variables: str) -> list[Call]:
    """Run the text of a script in `cwd`; what the programs of `folder` were given, in order.

    Raises:
        Failed: It ended with another code than 0.
    """
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=30, check=False, cwd=cwd,
        env={"PATH": f"{folder}/bin:{os.environ['PATH']}", **variables}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    if done.returncode:
        raise Failed(done.stderr)
    assert done.stdout == ""
    told = folder / "told"
    found = [_call(told / str(number)) for number in range(len(list(told.glob("*.words"))))]
    for path in told.iterdir():
        path.unlink()
    return found


def _call(path: Path) -> Call:
    name, *words = path.with_suffix(".words").read_text(encoding="utf-8").split("\0")[:-1]
    env = path.with_suffix(".env").read_text(encoding="utf-8").split("\0")[:-1]
    variables = dict(line.split("=", 1) for line in env)
    return Call(name, words, variables, path.with_suffix(".input").read_bytes())
