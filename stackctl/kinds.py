"""The kinds of store that MLflow tracking has, as facts: what a scenario file can name.

How each is read, written and carried is in `stackctl.stores`, by the same words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class KeyKind:
    """A key with which MLflow encrypts something that it keeps in a database.

    Attributes:
        name: Of what it encrypts; `stackctl.courier.keys` knows how.
        secret: The stack's secret that it is.
        variable: By which a server is told (MLflow 3.17.2).
        one: What it encrypts, for people.
        many: The same, of several.
        mend: What to do where no key opens some, which MLflow is kept from stumbling over.
    """

    name: str
    secret: str
    variable: str
    one: str
    many: str
    mend: str

    def count(self, number: int) -> str:
        """`3 secrets of webhooks`."""
        return f"{number} {self.one if number == 1 else self.many}"

    def lost(self, names: Sequence[str]) -> str:
        """That no key opens those of these names, and what to do."""
        told = ", ".join(map(repr, names))
        return f"no key opens the {self.count(len(names))}: {told}; {self.mend}"


KEYS = (
    KeyKind(
        "webhook", "webhook_key", "MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY",
        "secret of a webhook", "secrets of webhooks",
        "each of these webhooks is disabled, and has none: give it a new one",
    ),
    KeyKind(
        "gateway", "gateway_passphrase", "MLFLOW_CRYPTO_KEK_PASSPHRASE",
        "API key of the gateway", "API keys of the gateway", "enter each again",
    ),
)  # fmt: skip


@dataclass(frozen=True)
class BackendKind:
    """Where MLflow keeps experiments, runs, parameters, metrics and tags.

    Attributes:
        label: The name people know.
        local: It is a file or folder on the machine that clients share with the server.
        takes_rows: It has a schema, and another store's content can be copied into it.
        service: The service that keeps it; "" where it is files.
        keys: With which MLflow encrypts what it keeps there.
    """

    label: str
    local: bool = False
    takes_rows: bool = True
    service: str = ""
    keys: tuple[KeyKind, ...] = KEYS


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
    "files": BackendKind("files (mlruns/)", local=True, takes_rows=False, keys=()),
    "sqlite": BackendKind("SQLite (mlruns.db)", local=True),
    "postgres": BackendKind("PostgreSQL", service="postgres"),
    "mysql": BackendKind("MySQL", service="mysql"),
}
ARTIFACTS: Mapping[str, ArtifactKind] = {
    "folder": ArtifactKind("local folder (mlruns/)", local=True),
    "s3": ArtifactKind("S3 bucket"),
}
