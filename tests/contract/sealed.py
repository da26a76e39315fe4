"""What MLflow has encrypted in a stack's database, opened from outside with one key or another."""

import json

from cryptography.fernet import Fernet, InvalidToken

from stackctl.stack import Stack
from tests.contract.machine import Machine

# As hexadecimal digits, in each database's own words.
_HEX = {"postgres": "encode({}, 'hex')"}


class Sealed:
    """The webhooks and API keys of a stack."""

    def __init__(self, machine: Machine, stack: Stack, backend: str) -> None:
        self.stack, self._backend = stack, backend
        self._machine = machine

    def _sql(self, statement: str) -> list[list[str]]:
        return self._machine.sql(self.stack, statement)

    def opened(self) -> dict[str, dict[str, str]]:
        """The names of all that there are and what they hold, with the stack's own keys."""
        read = self.stack.secrets.read
        return {
            "webhook": self.webhooks(read("webhook_key").reveal()),
            "gateway": self.gateway(read("gateway_passphrase").reveal()),
        }

    def webhooks(self, key: str) -> dict[str, str]:
        """What the key opens of them; "" where it does not."""
        rows = self._sql("SELECT name, secret FROM webhooks WHERE deleted_timestamp IS NULL")
        return {name: _of_webhook(secret, key) for name, secret in rows}

    def gateway(self, passphrase: str) -> dict[str, str]:
        """What the passphrase opens of them; "" where it does not."""
        value, wrapped = (_HEX.get(self._backend, "hex({})").format(column)
                          for column in ("encrypted_value", "wrapped_dek"))  # fmt: skip
        rows = self._sql(f"SELECT secret_id, secret_name, {value}, {wrapped} FROM secrets")
        return {row[1]: _of_gateway(row, passphrase) for row in rows}


def _of_webhook(secret: str, key: str) -> str:
    try:
        return Fernet(key).decrypt(secret).decode()
    except InvalidToken:
        return ""


def _of_gateway(row: list[str], passphrase: str) -> str:
    from mlflow.exceptions import MlflowException
    from mlflow.utils.crypto import KEKManager, _decrypt_secret

    number, name, value, wrapped = row
    try:
        found = _decrypt_secret(
            bytes.fromhex(value), bytes.fromhex(wrapped), KEKManager(passphrase), number, name
        )
    except MlflowException:
        return ""
    return str((found if isinstance(found, dict) else json.loads(found))["api_key"])
