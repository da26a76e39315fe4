"""Where the tests keep what is expensive to make: images, wheels, the engine's data."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """The absolute cache folder, created if missing.

    `$STACKCTL_TEST_CACHE`, else `$XDG_CACHE_HOME/stackctl-tests`, else `~/.cache/stackctl-tests`.
    """
    named = os.environ.get("STACKCTL_TEST_CACHE")
    if named:
        folder = Path(named)
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(base) / "stackctl-tests"
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()
