"""Secrets in a file that only a passphrase opens, in the format of age.

The format is C2SP's (github.com/C2SP/C2SP, age.md): a file key, encrypted with scrypt of the
passphrase, and the content in chunks, encrypted with a key that is derived from it. No library is
used for the whole: those for Python choose scrypt's work factor by how fast the machine is at the
moment, and refuse in a slower one what they wrote themselves.
"""

import hashlib
import hmac
import json
import re
import secrets as random
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from stackctl.errors import MachineError, UserError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

_VERSION = b"age-encryption.org/v1"
# log2 of scrypt's N: half a second and 128 MiB. What other programs wrote on fast machines is read,
# as `age` itself does up to 22.
_WORK, _MOST_WORK = 17, 22
_CHUNK, _TAG = 1 << 16, 16
_HEADER = re.compile(
    rb"(age-encryption\.org/v1\n-> scrypt ([A-Za-z0-9+/]{22}) ([1-9][0-9]?)\n"
    rb"([A-Za-z0-9+/]{43})\n---) ([A-Za-z0-9+/]{43})\n"
)


def seal(values: Mapping[str, str], passphrase: str) -> bytes:
    """`values` as JSON, encrypted; `age --decrypt` opens it too."""
    salt, file_key, nonce = (random.token_bytes(16) for _ in range(3))
    body = _cipher(_wrapping_key(passphrase, salt, _WORK)).encrypt(bytes(12), file_key, None)
    stanza = b"-> scrypt %s %d" % (_text(salt), _WORK)
    header = b"\n".join([_VERSION, stanza, _text(body), b"---"])
    cipher, content = _cipher(_derived(file_key, nonce, b"payload")), json.dumps(values).encode()
    sealed = (cipher.encrypt(count, chunk, None) for count, chunk in _chunks(content, _CHUNK))
    return b"%s %s\n%s%s" % (header, _text(_mac(file_key, header)), nonce, b"".join(sealed))


def unseal(sealed: bytes, passphrase: str) -> dict[str, str]:
    """What `seal` was given.

    Raises:
        UserError: The passphrase is another one, or the content is damaged.
        MachineError: The machine has not the memory that it was made to take.
    """
    from cryptography.exceptions import InvalidTag

    found = _HEADER.match(sealed)
    if found is None:
        raise _damaged("their header is none of a passphrase's")
    header, salt, work, body, mac = found.groups()
    if int(work) > _MOST_WORK:
        raise _damaged(f"their work factor is {int(work)}, more than {_MOST_WORK}")
    key = _wrapping_key(passphrase, _bytes(salt), int(work))
    try:
        file_key = _cipher(key).decrypt(bytes(12), _bytes(body), None)
    except InvalidTag:
        raise UserError(
            "the secrets in the archive cannot be opened with this passphrase",
            hint="give the one with which the backup was made; nothing was changed",
        ) from None
    if not hmac.compare_digest(_mac(file_key, header), _bytes(mac)):
        raise _damaged("their header was changed")
    nonce, content = sealed[found.end() :][:16], sealed[found.end() :][16:]
    cipher, chunks = _cipher(_derived(file_key, nonce, b"payload")), _chunks(content, _CHUNK + _TAG)
    try:
        opened = b"".join(cipher.decrypt(count, chunk, None) for count, chunk in chunks)
        values = dict(json.loads(opened))
    except (InvalidTag, ValueError):
        raise _damaged("their content was changed") from None
    return {str(name): str(value) for name, value in values.items()}


def _wrapping_key(passphrase: str, salt: bytes, work: int) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    # OpenSSL's own limit, by which Python's `hashlib` counts, ends below a factor of 21.
    scrypt = Scrypt(salt=_VERSION + b"/scrypt" + salt, length=32, n=1 << work, r=8, p=1)
    try:
        return scrypt.derive(passphrase.encode())
    except MemoryError:
        raise MachineError(
            f"opening the secrets in the archive takes {128 * 8 * 2**work >> 20} MiB of memory",
            hint="restore on a machine that has them",
        ) from None


def _cipher(key: bytes) -> "ChaCha20Poly1305":
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    return ChaCha20Poly1305(key)


def _derived(file_key: bytes, salt: bytes, info: bytes) -> bytes:
    # HKDF of RFC 5869 with SHA-256, for one block.
    secret = hmac.digest(salt or bytes(32), file_key, hashlib.sha256)
    return hmac.digest(secret, info + b"\x01", hashlib.sha256)


def _mac(file_key: bytes, header: bytes) -> bytes:
    return hmac.digest(_derived(file_key, b"", b"header"), header, hashlib.sha256)


def _chunks(content: bytes, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Each with its nonce: a count, and whether it is the last."""
    for number, at in enumerate(range(0, len(content), size)):
        is_last = at + size >= len(content)
        yield number.to_bytes(11, "big") + bytes([is_last]), content[at : at + size]


def _text(value: bytes) -> bytes:
    return b64encode(value).rstrip(b"=")


def _bytes(text: bytes) -> bytes:
    return b64decode(text + b"=" * (-len(text) % 4))


def _damaged(why: str) -> UserError:
    return UserError(
        f"the secrets in the archive are damaged: {why}",
        hint="use another archive, or restore without them; nothing was changed",
    )
