"""Keys with which MLflow encrypts what it keeps: the secrets of webhooks, the gateway's API keys.

A webhook's secret is encrypted with a Fernet key (MLflow 3.17.2,
mlflow/store/model_registry/dbmodels/models.py), an API key with one of its own, which is wrapped
with a key made of a passphrase (mlflow/utils/crypto.py). Whoever changes either has to encrypt what
is there anew. Values come with the job, over standard input, and stand in no argument and no error.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, BinaryIO, ClassVar

import sqlalchemy as sa

from stackctl.courier.counting import ENCRYPTED
from stackctl.courier.database import engine
from stackctl.courier.verbs import Verb

# MLflow's own word for a webhook that is not called.
_DISABLED = "DISABLED"


@dataclass(frozen=True)
class Row:
    """Something that is encrypted."""

    id: str
    name: str
    value: Any


class Kind(ABC):
    """One kind of what is encrypted: where it is, and how."""

    kind: ClassVar[str]
    id: ClassVar[str]
    name: ClassVar[str]
    column: ClassVar[str]

    @property
    def table(self) -> str:
        """Where they are."""
        return ENCRYPTED[self.kind][0]

    @abstractmethod
    def opened(self, value: Any, key: str) -> Any:
        """What `value` holds; None where the key is another."""

    @abstractmethod
    def closed(self, content: Any, key: str) -> Any:
        """The same, encrypted with a key."""

    def rows(self, connection: sa.Connection) -> Iterator[Row]:
        """All that there are; none where MLflow does not know them yet, or has none."""
        if not sa.inspect(connection).has_table(self.table):
            return
        query = (
            f"SELECT {self.id}, {self.name}, {self.column} FROM {self.table} "  # noqa: S608
            f"WHERE {ENCRYPTED[self.kind][1]}"
        )
        found = connection.execute(sa.text(query))
        for identity, name, value in found.fetchall():
            yield Row(str(identity), str(name), value)

    def replace(self, connection: sa.Connection, row: Row, value: Any) -> None:
        """Put another value in its place."""
        connection.execute(
            sa.text(f"UPDATE {self.table} SET {self.column} = :value "  # noqa: S608
                    f"WHERE {self.id} = :id"),
            {"value": value, "id": row.id},
        )  # fmt: skip

    @abstractmethod
    def void(self, connection: sa.Connection, row: Row) -> None:
        """Leave out what nobody can read, where it keeps MLflow from reading the rest."""


class Webhook(Kind):
    """The secret with which a webhook's calls are signed."""

    kind, id, name, column = "webhook", "webhook_id", "name", "secret"

    def opened(self, value: Any, key: str) -> Any:
        """Its secret."""
        from cryptography.fernet import Fernet, InvalidToken

        try:
            return Fernet(key).decrypt(str(value).encode())
        except InvalidToken:
            return None

    def closed(self, content: Any, key: str) -> Any:
        """As MLflow keeps it."""
        from cryptography.fernet import Fernet

        return Fernet(key).encrypt(content).decode()

    def void(self, connection: sa.Connection, row: Row) -> None:
        """One that cannot be read makes every list of webhooks fail; without it none is signed."""
        connection.execute(
            sa.text("UPDATE webhooks SET secret = NULL, status = :status WHERE webhook_id = :id"),
            {"status": _DISABLED, "id": row.id},
        )


class Gateway(Kind):
    """The key that opens an API key of a provider of models."""

    kind, id, name, column = "gateway", "secret_id", "secret_name", "wrapped_dek"

    def opened(self, value: Any, key: str) -> Any:
        """The key that was wrapped."""
        from mlflow.exceptions import MlflowException
        from mlflow.utils.crypto import unwrap_dek

        try:
            return unwrap_dek(bytes(value), _wrapping(key))
        except MlflowException:
            return None

    def closed(self, content: Any, key: str) -> Any:
        """Wrapped."""
        from mlflow.utils.crypto import wrap_dek

        return wrap_dek(content, _wrapping(key))

    def void(self, connection: sa.Connection, row: Row) -> None:
        """It stands in nobody's way, and may be the one that a lost key still opens."""


KINDS: dict[str, Kind] = {kind.kind: kind for kind in (Webhook(), Gateway())}


def taken(job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, list[bool]]:
    """Which of `values` open something of `kind`; none where there is nothing to open.

    With `usual`, also what MLflow takes by default.
    """
    kind = KINDS[job["kind"]]
    values = [*job["values"], *(_usual(kind.kind) if job.get("usual") else ())]
    with engine().connect() as connection:
        rows = list(kind.rows(connection))
    opened = [any(kind.opened(row.value, key) is not None for row in rows)
              for key in values]  # fmt: skip
    return {"taken": opened if rows else []}


def rewrap(job: dict[str, Any], _in: BinaryIO, _out: BinaryIO) -> dict[str, Any]:
    """Have everything be encrypted with the keys in `new`, in one transaction.

    Each of `known` is a list of keys that it may be encrypted with now; of the gateway, what MLflow
    takes by default is known too, and meant by "" in `new`. With `void` MLflow is kept from
    stumbling over what no key opens.

    Returns:
        `lost`: the names of those, by kind.
    """
    lost: dict[str, list[str]] = {}
    with engine().begin() as connection:
        for name, wanted in job["new"].items():
            kind, usual = KINDS[name], _usual(name)
            # A release before there was a gateway has nothing that it would encrypt.
            new = wanted or next(iter(usual), "")
            keys = [new, *job["known"].get(name, ()), *usual]
            for row in kind.rows(connection):
                content, key = _first(kind, row, keys)
                if content is None:
                    lost.setdefault(name, []).append(row.name)
                    if job.get("void"):
                        kind.void(connection, row)
                elif key != new:
                    kind.replace(connection, row, kind.closed(content, new))
    return {"lost": lost}


def _first(kind: Kind, row: Row, keys: Sequence[str]) -> tuple[Any, str]:
    for key in keys:
        if (content := kind.opened(row.value, key)) is not None:
            return content, key
    return None, ""


def _usual(name: str) -> list[str]:
    """What MLflow takes where nobody says another: it stands in its source."""
    if name != "gateway":
        return []
    try:
        from mlflow.utils.crypto import DEFAULT_KEK_PASSPHRASE
    except ImportError:  # before there was a gateway
        return []
    return [str(DEFAULT_KEK_PASSPHRASE)]


@cache
def _wrapping(passphrase: str) -> bytes:
    """Derived with care, for as long as a third of a second."""
    from mlflow.utils.crypto import KEKManager

    return bytes(KEKManager(passphrase=passphrase, kek_version=1).get_kek())


VERBS: dict[str, Verb] = {"keys-taken": taken, "keys-rewrap": rewrap}
