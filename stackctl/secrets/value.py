"""A secret as a value that does not show itself, and text without secrets."""

import json
import secrets as random
from typing import NoReturn
from urllib.parse import quote


class Secret:
    """A value that never shows itself: `str`, `repr`, f-strings, JSON and pickles are redacted.

    Only `reveal()` gives the value, so that a search finds every place which uses one.
    """

    __slots__ = ("_value", "name")

    def __init__(self, name: str, value: str) -> None:
        self.name = name
        self._value = value

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self.name}: redacted)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and random.compare_digest(
            self._value.encode(), other._value.encode()
        )

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{self!r} cannot be copied out of its process")


class RedactingEncoder(json.JSONEncoder):
    """JSON in which a `Secret` is its redacted form."""

    def default(self, o: object) -> object:
        """The redacted form of a `Secret`."""
        return repr(o) if isinstance(o, Secret) else super().default(o)


def forms(value: str) -> set[str]:
    """A value as it is and as it may be written: in a URI, in an INI file, in JSON."""
    encoded = {quote(value, safe=""), quote(value.encode().decode("latin-1"), safe="")}
    escaped = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    return {value, *encoded, *(form.replace("%", "%%") for form in encoded), *escaped}


def redact(text: str, values: list[str]) -> str:
    """`text` with each of `values` replaced, longest first."""
    for value in sorted(values, key=len, reverse=True):
        text = text.replace(value, "[redacted]")
    return text
