"""Tables beside MLflow's that MLflow did not make, in a database that somebody else runs.

There they are nobody's business here: not read, not emptied, not taken away. In a database of the
stack's own they are a part of it.
"""

import os
from importlib import import_module
from pathlib import Path

import sqlalchemy as sa

from stackctl.courier.parts import Part, belongs


def may_be_there() -> bool:
    """The stack's database is somebody else's."""
    return bool(os.environ.get("STACKCTL_SHARED_DATABASE"))


def names(connection: sa.Connection) -> set[str]:
    """Of those that are left alone; none in a database of the stack's own."""
    if not may_be_there() or connection.dialect.name == "sqlite":
        return set()
    there = {n for n in sa.inspect(connection).get_table_names() if belongs(n, Part.TRACKING)}
    # To know MLflow's is to import it, which takes seconds.
    return there - _of_mlflow() if there else there


def _of_mlflow() -> set[str]:
    import mlflow.store
    from mlflow.store.db.base_sql_model import Base
    from mlflow.store.tracking.dbmodels.initial_models import Base as Initial

    # What all of them define is in the one `Base`, and in that of the first version.
    (place,) = mlflow.store.__path__
    for path in Path(place).glob("*/dbmodels/models.py"):
        import_module(f"mlflow.store.{path.parts[-3]}.dbmodels.models")
    return {*Base.metadata.tables, *Initial.metadata.tables}
