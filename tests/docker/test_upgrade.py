"""Upgrade in containers, where another release is another image."""

import pytest

from tests.contract.upgrading import Upgraded


@pytest.mark.matrix
class TestSQLite(Upgraded):
    scenario = "scenario-3b"
