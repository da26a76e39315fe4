"""The machine of a class of tests is the one of the runtime that the class names."""

import pytest

from tests.contract.machine import Machine


@pytest.fixture(scope="class")
def machine(request: pytest.FixtureRequest) -> Machine:
    """The machine on which the tests of this class deploy."""
    machine = request.getfixturevalue(f"{request.cls.runtime}_machine")
    assert isinstance(machine, Machine)
    return machine
