"""Settings that are several words: a list in TOML, separated by commas elsewhere."""

from typing import Annotated

from pydantic import BeforeValidator


def _separated(value: object) -> object:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


Words = Annotated[tuple[str, ...], BeforeValidator(_separated)]
