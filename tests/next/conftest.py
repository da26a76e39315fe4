"""Tests of what the next release of MLflow changes."""

import pytest

from tests.embedded.machine import EmbeddedMachine


@pytest.fixture(scope="class")
def machine(embedded_machine: EmbeddedMachine) -> EmbeddedMachine:
    """This machine."""
    return embedded_machine
