"""Secrets in an archive open with their passphrase alone, on a machine of whatever speed."""

import base64
from collections.abc import Callable

import pyrage
import pytest

from stackctl.errors import MachineError, UserError
from stackctl.secrets import sealed as module
from stackctl.secrets.sealed import seal, unseal

VALUES = {"postgres_password": "größe \\ ' \"", "admin_password": "x"}
RIGHT = "correct horse"
# What pyrage 1.4.0 wrote.
EARLIER = base64.b64decode(
    "YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IHNjcnlwdCBaZFFmdTBIUTlZZmhkNnRnWHhadjZnIDEyCi9zVUNtbjBRWXpx"
    "SWE1U2ZVWE9hK3dCM1lHZXhZRWJPZFpBNW5LOXZONG8KLS0tIHBNSUR5VHVUaTNQUjhsWFVWQ0lObFFINnFYVjdjTlBZ"
    "Tjd2bjREdTZHc3cK6PqOqXxeUiT2+J85ekbbiADyUTR273qasa7CawI6SdrM1G4ZiMdnY5xw"
)


@pytest.fixture(scope="module")
def sealed() -> bytes:
    return seal(VALUES, RIGHT)


def test_what_was_sealed_is_opened(sealed: bytes) -> None:
    assert sealed.startswith(b"age-encryption.org/v1\n")
    assert b"password" not in sealed
    assert unseal(sealed, RIGHT) == VALUES


def test_more_than_a_chunk_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_WORK", 4)
    for size in (0, module._CHUNK - 20, module._CHUNK, 3 * module._CHUNK):
        values = {"postgres_password": "x" * size}
        assert unseal(found := seal(values, RIGHT), RIGHT) == values
        # Another implementation reads the same.
        assert b"x" * size in pyrage.passphrase.decrypt(found, RIGHT)


def test_archives_of_earlier_releases_are_opened() -> None:
    """Sealed by a library that took as much work as the machine did in a second: a busy one."""
    assert EARLIER.splitlines()[1].endswith(b" 12")
    assert unseal(EARLIER, RIGHT) == {"a": "b"}


def test_the_work_is_the_same_on_every_machine(sealed: bytes) -> None:
    assert sealed.splitlines()[1].endswith(b" 17")
    # What a machine wrote that is 16 times as fast is only slow.
    assert module._MOST_WORK >= 17 + 4


def _with_another_mac(sealed: bytes) -> bytes:
    before, line, after = sealed.partition(b"--- ")
    return before + line + b"A" * 42 + b"A" + after[43:]


@pytest.mark.parametrize("passphrase", ["", "correct horse ", "staple"])
def test_another_passphrase_is_refused(sealed: bytes, passphrase: str) -> None:
    with pytest.raises(UserError, match="cannot be opened with this passphrase") as told:
        unseal(sealed, passphrase)
    assert "horse" not in str(told.value)


@pytest.mark.parametrize("at", [3, 30, -70, -1])
def test_what_was_damaged_is_told_from_a_wrong_passphrase(sealed: bytes, at: int) -> None:
    content = bytearray(sealed)
    content[at] ^= 1
    with pytest.raises(UserError, match=r"are damaged|cannot be opened"):
        unseal(bytes(content), RIGHT)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s: s[:-1], "their content was changed"),
        (lambda s: s + b"x", "their content was changed"),
        (lambda s: s[:-40], "their content was changed"),
        (lambda s: s.replace(b" 17\n", b" 63\n", 1), "their work factor is 63, more than 22"),
        (lambda s: s.replace(b"scrypt", b"X25519", 1), "their header is none of a passphrase's"),
        (lambda _: b"", "their header is none of a passphrase's"),
        (_with_another_mac, "their header was changed"),
    ],
)
def test_each_damage_has_its_name(
    sealed: bytes, change: Callable[[bytes], bytes], said: str
) -> None:
    with pytest.raises(UserError, match=f"are damaged: {said}"):
        unseal(change(sealed), RIGHT)


def test_a_machine_without_the_memory_says_how_much_it_takes(
    sealed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def __init__(self, **_: object) -> None:
            """Nothing."""

        def derive(self, _: bytes) -> bytes:
            raise MemoryError

    monkeypatch.setattr("cryptography.hazmat.primitives.kdf.scrypt.Scrypt", Full)
    with pytest.raises(MachineError, match="takes 128 MiB of memory"):
        unseal(sealed, RIGHT)
