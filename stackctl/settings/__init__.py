"""The settings of a stack: what there is to choose, and where each value comes from."""

from stackctl.settings.file import SETTINGS_FILE, SettingsFile
from stackctl.settings.layers import (
    Effective,
    Kept,
    dotenv_quoted,
    flat,
    pairs,
    resolve,
    shown,
    stored,
    unlike,
    variable,
)
from stackctl.settings.model import NAME_RULE, Settings, is_name, keys

__all__ = [
    "NAME_RULE",
    "SETTINGS_FILE",
    "Effective",
    "Kept",
    "Settings",
    "SettingsFile",
    "dotenv_quoted",
    "flat",
    "is_name",
    "keys",
    "pairs",
    "resolve",
    "shown",
    "stored",
    "unlike",
    "variable",
]
