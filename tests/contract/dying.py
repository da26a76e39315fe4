"""stackctl that is killed at a moment of its own: `dying.py MODULE CLASS.NAME before|after …`.

The function is called as ever; before or after it, SIGKILL ends this process.
"""

import importlib
import os
import signal
import sys
from typing import Any


def main() -> None:
    module, path, when = sys.argv[1:4]
    *holders, name = path.split(".")
    holder = importlib.import_module(module)
    for part in holders:
        holder = getattr(holder, part)
    function = getattr(holder, name)

    def dies(*arguments: Any, **named: Any) -> Any:
        if when == "after":
            function(*arguments, **named)
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(holder, name, dies)
    sys.argv = ["stackctl", *sys.argv[4:]]
    from stackctl.cli import main as stackctl

    stackctl()


main()
