"""The settings of a stack: what there is to choose, and where each value comes from."""

from stackctl.settings.layers import Effective, dotenv_quoted, resolve, stored
from stackctl.settings.model import Settings, is_name, keys

__all__ = ["Effective", "Settings", "dotenv_quoted", "is_name", "keys", "resolve", "stored"]
