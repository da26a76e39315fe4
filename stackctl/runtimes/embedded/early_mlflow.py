"""A server of MLflow, which imports while what it needs is still starting.

Importing takes seconds, as does a database's first start. Nothing is asked of the database before
the guard opens the door: the end of a pipe whose number is in STACKCTL_DOOR.
"""

import runpy

from stackctl import resources

if __name__ == "__main__":
    script = resources.folder("templates") / "entrypoints" / "mlflow_server.py"
    runpy.run_path(str(script), run_name="__main__")
