"""Tables beside MLflow's that MLflow did not make, in a database that somebody else runs.

There they are nobody's business here: not read, not emptied, not taken away. In a database of the
stack's own they are a part of it.
"""

import os
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import sqlalchemy as sa

from stackctl.courier.parts import Part, belongs

_NAMED = re.compile(r"^    __tablename__ = \"(\w+)\"$", re.MULTILINE)


def may_be_there() -> bool:
    """The stack's database is somebody else's."""
    return bool(os.environ.get("STACKCTL_SHARED_DATABASE"))


def names(connection: sa.Connection) -> set[str]:
    """Of those that are left alone; none in a database of the stack's own."""
    if not may_be_there() or connection.dialect.name == "sqlite":
        return set()
    there = {n for n in sa.inspect(connection).get_table_names() if belongs(n, Part.TRACKING)}
    return there - of_mlflow()


@cache
def of_mlflow() -> frozenset[str]:
    """Those that MLflow's models name, of its first version too, as their files say.

    To import MLflow takes seconds.
    """
    spec = find_spec("mlflow")
    place = Path(str(spec and spec.origin)).parent / "store"
    files = place.glob("*/dbmodels/*.py")
    return frozenset(name for path in files for name in _NAMED.findall(path.read_text("utf-8")))
