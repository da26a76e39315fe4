"""`mlflow`, imported while what it needs is still starting: `... early_mlflow server ...`.

Importing takes seconds, as does a database's first start. Nothing is asked of the database before
the guard opens the door: the end of a pipe whose number is in STACKCTL_DOOR.
"""

import os

import mlflow.store.model_registry.sqlalchemy_store
import mlflow.store.tracking.sqlalchemy_store  # noqa: F401 - what the server will need
from mlflow.cli import cli

if __name__ == "__main__":
    if door := os.environ.pop("STACKCTL_DOOR", ""):
        with os.fdopen(int(door), "rb") as pipe:
            pipe.read()
    cli(prog_name="mlflow")
