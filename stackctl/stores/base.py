"""The two kinds of store that MLflow tracking has."""

from pathlib import Path


class BackendStore:
    """Where MLflow keeps experiments, runs, parameters, metrics and tags.

    Attributes:
        kind: The word used in scenario files.
        label: The name people know.
        local: It is a file or folder on the machine that clients share with the server.
    """

    kind: str
    label: str
    local: bool = False

    def tracking_uri(self, data: Path) -> str:
        """The URI with which a client uses this store directly, without a server."""
        raise NotImplementedError(f"{self.label} is reached through a tracking server")

    def client_environment(self, data: Path) -> dict[str, str]:
        """What a client that uses this store directly must set beside the tracking URI."""
        return {}

    def prepare(self, data: Path) -> None:
        """Put into a new data folder what MLflow does not make in a folder that is there."""

    def read_param(self, data: Path, experiment_id: str, run_id: str, key: str) -> str | None:
        """A run's parameter, read as a client without a server would; None where there is none."""
        raise NotImplementedError

    def write_tag(self, data: Path, experiment_id: str, run_id: str, key: str, value: str) -> None:
        """Set a run's tag, written as a client without a server would."""
        raise NotImplementedError


class ArtifactStore:
    """Where MLflow keeps files, models and figures.

    Attributes:
        kind: The word used in scenario files.
        label: The name people know.
        local: It is a folder on the machine that clients write themselves.
    """

    kind: str
    label: str
    local: bool = False
