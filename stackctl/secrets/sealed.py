"""Secrets in a file that only a passphrase opens, in the format of age (age-encryption.org)."""

import json
from collections.abc import Mapping

from stackctl.errors import UserError


def seal(values: Mapping[str, str], passphrase: str) -> bytes:
    """`values` as JSON, encrypted; `age --decrypt` opens it too."""
    import pyrage

    return bytes(pyrage.passphrase.encrypt(json.dumps(values).encode(), passphrase))


def unseal(sealed: bytes, passphrase: str) -> dict[str, str]:
    """What `seal` was given.

    Raises:
        UserError: The passphrase is another one, or the content is damaged.
    """
    import pyrage

    try:
        return dict(json.loads(pyrage.passphrase.decrypt(sealed, passphrase)))
    except (pyrage.DecryptError, ValueError) as error:
        raise UserError(
            "the secrets in the archive cannot be opened with this passphrase",
            hint="give the one with which the backup was made; nothing was changed",
        ) from error
