"""What tests of every runtime use."""

import pytest

from tests.contract.driving import Deployed
from tests.contract.https import basic


@pytest.fixture
def login(deployed: Deployed) -> dict[str, str]:
    """The header by which the administrator of the class's stack logs in."""
    password = deployed.stack.secrets.read("admin_password").reveal()
    return {"Authorization": basic("admin", password)}
