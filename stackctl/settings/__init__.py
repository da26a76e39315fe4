"""The settings of a stack: what there is to choose, and where each value comes from."""

from stackctl.settings.layers import Effective, dotenv_quoted, flat, resolve, shown, stored
from stackctl.settings.model import NAME_RULE, Settings, is_name, keys

__all__ = [
    "NAME_RULE",
    "Effective",
    "Settings",
    "dotenv_quoted",
    "flat",
    "is_name",
    "keys",
    "resolve",
    "shown",
    "stored",
]
