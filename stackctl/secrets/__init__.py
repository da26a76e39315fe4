"""Secrets of a stack: one file each, values that do not show themselves."""

from stackctl.secrets.folder import PART, SecretFolder, SecretState, placeholders
from stackctl.secrets.value import RedactingEncoder, Secret, redact

__all__ = [
    "PART",
    "RedactingEncoder",
    "Secret",
    "SecretFolder",
    "SecretState",
    "placeholders",
    "redact",
]
