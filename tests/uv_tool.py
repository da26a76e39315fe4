"""uv, as the tests call it."""

import subprocess
from pathlib import Path

import uv

_ROOT = Path(__file__).parents[1]


def run_uv(*words: str | Path) -> None:
    """Call uv in the checkout; it must end well."""
    done = subprocess.run(
        [uv.find_uv_bin(), *words], cwd=_ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
