"""Run tests with the next release of MLflow as what ships: `python -m tests.next [WORDS]`.

The words are pytest's; without them it runs the tests of this folder.
"""

import subprocess
import sys

from tests.next.lane import checkout, environment, python

with checkout() as copy:
    words = sys.argv[1:] or ["tests/next"]
    done = subprocess.run(
        [python(), "-m", "pytest", *words], cwd=copy, env=environment(copy), check=False
    )
sys.exit(done.returncode)
