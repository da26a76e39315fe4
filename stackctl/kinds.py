"""The kinds of store that MLflow tracking has, as facts: what a scenario file can name.

How each is read, written and carried is in `stackctl.stores`, by the same words.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class BackendKind:
    """Where MLflow keeps experiments, runs, parameters, metrics and tags.

    Attributes:
        label: The name people know.
        local: It is a file or folder on the machine that clients share with the server.
        takes_rows: It has a schema, and another store's content can be copied into it.
        service: The service that keeps it; "" where it is files.
    """

    label: str
    local: bool = False
    takes_rows: bool = True
    service: str = ""


@dataclass(frozen=True)
class ArtifactKind:
    """Where MLflow keeps files, models and figures.

    Attributes:
        label: The name people know.
        local: It is a folder on the machine that clients write themselves.
    """

    label: str
    local: bool = False


BACKENDS: Mapping[str, BackendKind] = {
    "files": BackendKind("files (mlruns/)", local=True, takes_rows=False),
    "sqlite": BackendKind("SQLite (mlruns.db)", local=True),
    "postgres": BackendKind("PostgreSQL", service="postgres"),
    "mysql": BackendKind("MySQL", service="mysql"),
}
ARTIFACTS: Mapping[str, ArtifactKind] = {
    "folder": ArtifactKind("local folder (mlruns/)", local=True),
    "s3": ArtifactKind("S3 bucket"),
}
