"""A Docker Engine for the tests: the one that answers already, else a throwaway of our own."""

from tests.engine.engine import Engine, down, ensure, status
from tests.engine.errors import EngineUnavailable

__all__ = ["Engine", "EngineUnavailable", "down", "ensure", "status"]
