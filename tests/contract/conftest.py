"""The machine of a class of tests is the one of the runtime that the class names."""

import pytest

from tests.contract.driving import Deployed
from tests.contract.https import basic
from tests.contract.machine import Machine


@pytest.fixture(scope="class")
def machine(request: pytest.FixtureRequest) -> Machine:
    """The machine on which the tests of this class deploy."""
    machine = request.getfixturevalue(f"{request.cls.runtime}_machine")
    assert isinstance(machine, Machine)
    return machine


@pytest.fixture
def login(deployed: Deployed) -> dict[str, str]:
    """The header by which the administrator of the class's stack logs in."""
    password = deployed.stack.secrets.read("admin_password").reveal()
    return {"Authorization": basic("admin", password)}
