"""What a database says of artifacts that lie at none of a stack's own places."""

from typing import Any, BinaryIO

import sqlalchemy as sa

from stackctl.courier.database import engine
from stackctl.courier.places import Experiment, Located, places
from stackctl.courier.verbs import Verb

# Kind by kind: its table, and a query for id, experiment and location.
_LOCATED = {
    "runs": ("runs", "SELECT run_uuid, experiment_id, artifact_uri FROM runs"),
    "logged_models": (
        "logged_models",
        "SELECT model_id, experiment_id, artifact_location FROM logged_models",
    ),
    "traces": (
        "trace_tags",
        "SELECT trace_info.request_id, trace_info.experiment_id, trace_tags.value FROM trace_tags "
        "JOIN trace_info ON trace_tags.request_id = trace_info.request_id "
        "WHERE trace_tags.key = 'mlflow.artifactLocation'",
    ),
}


def elsewhere(job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, Any]:
    """What a database says: `{"places": […]}` of `stackctl.courier.places`, for `roots`."""
    with engine().connect() as connection:
        tables = set(sa.inspect(connection).get_table_names())
        query = "SELECT experiment_id, name, artifact_location FROM experiments"
        experiments = {
            str(number): Experiment(name, location or "")
            for number, name, location in connection.execute(sa.text(query))
        }
        things = [
            Located(kind, identity, str(experiment), location)
            for kind, (table, query) in _LOCATED.items()
            if table in tables
            for identity, experiment, location in connection.execute(sa.text(query))
            if location
        ]
    return {"places": places(job["roots"], experiments, things)}


VERBS: dict[str, Verb] = {"elsewhere": elsewhere}
