"""A file store as a database, by the parts of `mlflow migrate-filestore` (3.17.2).

The command itself fails on an ordinary store: `log_model` in a run with metrics has MLflow write
those metrics a second time, and the database takes each only once. So its steps are called one by
one with a session that passes over a point it has seen. They are private names of MLflow.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from stackctl.courier.database import migrate
from stackctl.courier.errors import Refused
from stackctl.courier.numbering import number


@contextmanager
def scratch_folder(wanted: str) -> Iterator[Path]:
    """A folder for a database, in `wanted` or else on the disk that a container has."""
    # What a container has as /tmp is memory.
    disk = "/var/tmp" if os.path.ismount("/var/tmp") else None  # noqa: S108
    with tempfile.TemporaryDirectory(prefix=".migration-", dir=wanted or disk) as folder:
        yield Path(folder)


def migrated(folder: Path, scratch: Path) -> str:
    """The URI of a new SQLite database in `scratch`, with everything that is in `folder`.

    Raises:
        Refused: MLflow cannot read a file of the store.
    """
    uri = f"sqlite:///{scratch}/migrated.db"
    made = sa.create_engine(uri, poolclass=sa.pool.NullPool)
    migrate(made, "heads")
    _fill(made, folder)
    number(made)
    _sanitise(made)
    return uri


def _fill(made: sa.Engine, folder: Path) -> None:
    from mlflow.store.fs2db import _registry as registry
    from mlflow.store.fs2db import _tracking as tracking
    from mlflow.store.fs2db._utils import MigrationStats, for_each_experiment

    stats = MigrationStats()
    with _once()(made) as session:
        try:
            for path, experiment in for_each_experiment(folder):
                number = int(experiment)
                tracking._migrate_one_experiment(session, path, experiment, stats)
                tracking._migrate_runs_in_dir(session, path, number, stats)
                session.flush()
                tracking._migrate_datasets_for_experiment(session, path, number, stats)
                tracking._migrate_outputs_for_experiment(session, path, stats)
                tracking._migrate_traces_for_experiment(session, path, number, stats)
                session.flush()
                tracking._migrate_assessments_for_experiment(session, path, number, stats)
                tracking._migrate_logged_models_for_experiment(session, path, number, stats)
                session.flush()
                session.expunge_all()
                session.seen.clear()
            for model in registry.list_registered_models(folder):
                registry._migrate_one_registered_model(session, model, stats)
            session.commit()
        except Exception as error:
            raise Refused(f"MLflow cannot read the file store {folder}: {error}") from error


def _once() -> Any:
    from mlflow.store.tracking.dbmodels.models import SqlLoggedModelMetric, SqlMetric

    class Once(Session):
        """Adds a metric's point once."""

        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.seen: set[tuple[Any, ...]] = set()

        def add(self, instance: object, **more: Any) -> None:
            if isinstance(instance, SqlMetric | SqlLoggedModelMetric):
                keys = type(instance).__mapper__.primary_key
                key = (type(instance), *(getattr(instance, column.name) for column in keys))
                if key in self.seen:
                    return
                self.seen.add(key)
            super().add(instance, **more)

    return Once


def _sanitise(made: sa.Engine) -> None:
    """What MLflow's database stores write in the place of values that MySQL does not take."""
    with made.begin() as connection:
        connection.execute(
            sa.text(
                "UPDATE logged_model_metrics SET metric_value = CASE "
                "WHEN metric_value IS NULL THEN 0 WHEN metric_value > :most THEN :most "
                "WHEN metric_value < -:most THEN -:most ELSE metric_value END"
            ),
            {"most": sys.float_info.max},
        )
