"""Execute a notebook from top to bottom: `python run_notebook.py NOTEBOOK RESULT`.

It runs with the notebook's folder as working folder, and the executed copy is written to RESULT,
also where a cell failed. Exit code 1 says that one did; the cell and its error are on stderr.
"""

import os
import re
import sys
from pathlib import Path

# The kernel of this interpreter, not one of the same name that the user installed elsewhere.
os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from traitlets.config import Config

SECONDS_FOR_A_CELL = 600


def main(notebook: Path, result: Path) -> int:
    """Execute, write, tell what failed."""
    content = nbformat.read(notebook, as_version=4)
    # Sockets that only this user reaches, instead of ports that every local user can read from.
    config = Config({"KernelManager": {"transport": "ipc"}})
    client = NotebookClient(
        content,
        timeout=SECONDS_FOR_A_CELL,
        kernel_name="python3",
        config=config,
        resources={"metadata": {"path": str(notebook.parent)}},
    )
    try:
        client.execute()
    except (CellExecutionError, DeadKernelError, TimeoutError) as error:
        # Errors of notebooks come in the colours of a terminal.
        told = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
        print(f"{notebook.name}: {told.strip()}", file=sys.stderr)
        return 1
    finally:
        nbformat.write(content, result)
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: python run_notebook.py NOTEBOOK RESULT")
    sys.exit(main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()))
