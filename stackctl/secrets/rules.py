"""What each secret has to be: how one is made, and which values the services that read it take."""

import base64
import binascii
import re
import secrets as random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

# 32 bytes: 256 bits.
_BYTES = 32
_KEY_CHARACTERS = re.compile(r"[A-Za-z0-9_-]{3,128}")


def _text() -> str:
    # Safe in a URL.
    return random.token_urlsafe(_BYTES)


def _fernet() -> str:
    return base64.urlsafe_b64encode(random.token_bytes(_BYTES)).decode()


def _anything(_value: str) -> str:
    return ""


def _access_key(value: str) -> str:
    # An identifier: some clients accept no more.
    good = _KEY_CHARACTERS.fullmatch(value)
    return "" if good else "an S3 access key has 3 to 128 letters, digits, '_' and '-'"


def _secret_key(value: str) -> str:
    good = len(value) >= 8 and value.isascii()
    return "" if good else "an S3 secret key has 8 or more ASCII characters"


def _login(value: str) -> str:
    # MLflow 3.17.2: mlflow/utils/validation.py, and mlflow/server/auth/__init__.py, which decodes
    # what a client sends as ASCII.
    good = len(value) >= 12 and value.isascii()
    return "" if good else "MLflow's login takes 12 or more ASCII characters"


def _fernet_key(value: str) -> str:
    # MLflow 3.17.2, mlflow/store/model_registry/dbmodels/models.py: it does not start with another.
    try:
        good = len(base64.urlsafe_b64decode(value.encode("ascii"))) == _BYTES and len(value) == 44
    except (UnicodeEncodeError, binascii.Error):
        good = False
    return "" if good else "a Fernet key is 32 bytes in URL-safe base64, 44 characters"


def _certificates() -> ModuleType:
    # To import it takes longer than most commands.
    return import_module("stackctl.certificates")


def _passphrase(value: str) -> str:
    return "" if len(value) >= 16 else "a passphrase that is stored has 16 or more characters"


def _authority(key: str) -> str:
    return str(_certificates().new_authority(key))


def _key_problem(value: str) -> str:
    return str(_certificates().key_problem(value))


def _chain_problem(value: str) -> str:
    return str(_certificates().chain_problem(value))


@dataclass(frozen=True)
class Rule:
    """What is known of one secret.

    Attributes:
        generate: Makes a new value.
        problem: What is wrong with a value, without the value; "" where nothing is.
        of: The secret that a new value is made of, which then comes first.
        made_of: Makes it of that.
        lines: It has several, and may end with one.
        given: Nobody but its owner can make it.
    """

    generate: Callable[[], str] = _text
    problem: Callable[[str], str] = _anything
    of: str = ""
    made_of: Callable[[str], str] = _anything
    lines: bool = False
    given: bool = False


_RULES: Mapping[str, Rule] = {
    "s3_access_key": Rule(lambda: random.token_hex(16), _access_key),
    "s3_secret_key": Rule(problem=_secret_key),
    "postgres_password": Rule(),
    "mysql_password": Rule(),
    "mysql_root_password": Rule(),
    "admin_password": Rule(problem=_login),
    "flask_secret_key": Rule(),
    "webhook_key": Rule(_fernet, _fernet_key),
    "gateway_passphrase": Rule(problem=_passphrase),
    "ca_key": Rule(lambda: _certificates().new_key(), _key_problem, lines=True),
    "ca_certificate": Rule(
        problem=_chain_problem,
        of="ca_key",
        lines=True,
        made_of=lambda key: _certificates().new_authority(key),
    ),
    "tls_certificate": Rule(problem=_chain_problem, lines=True, given=True),
    "tls_key": Rule(problem=_key_problem, lines=True, given=True),
    "oidc_client_secret": Rule(given=True),
    "database_password": Rule(given=True),
    "database_client_certificate": Rule(problem=_chain_problem, lines=True, given=True),
    "database_client_key": Rule(problem=_key_problem, lines=True, given=True),
}
# One that a user's settings name.
_ANOTHER = Rule(given=True)


def rule(name: str) -> Rule:
    """What is known of the secret in a file, whether that is its own or one beside it."""
    return _RULES.get(name.partition(".")[0], _ANOTHER)
