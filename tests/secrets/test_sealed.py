"""Secrets in an archive open with their passphrase alone."""

import pytest

from stackctl.errors import UserError
from stackctl.secrets.sealed import seal, unseal

VALUES = {"postgres_password": "größe \\ ' \"", "admin_password": "x"}


@pytest.fixture(scope="module")
def sealed() -> bytes:
    return seal(VALUES, "correct horse")


def test_what_was_sealed_is_opened(sealed: bytes) -> None:
    assert sealed.startswith(b"age-encryption.org/v1\n")
    assert b"password" not in sealed
    assert unseal(sealed, "correct horse") == VALUES


@pytest.mark.parametrize("passphrase", ["", "correct horse ", "staple"])
def test_another_passphrase_is_refused(sealed: bytes, passphrase: str) -> None:
    with pytest.raises(UserError, match="cannot be opened with this passphrase") as told:
        unseal(sealed, passphrase)
    assert "horse" not in str(told.value)


def test_what_was_damaged_is_refused(sealed: bytes) -> None:
    with pytest.raises(UserError):
        unseal(sealed[:-1] + bytes([sealed[-1] ^ 1]), "correct horse")
