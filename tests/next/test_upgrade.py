"""The three migrations of MLflow 3.18, on each kind of database, done and undone."""

from typing import ClassVar

import pytest

from tests.contract.upgrading import Upgraded
from tests.next import BEFORE


class Next(Upgraded):
    """From the release that shipped before; the second of the migrations makes a table."""

    release = BEFORE
    in_the_way = "issue_categories"


class TestSQLiteWithLogin(Next):
    scenario = "scenario-3b"
    settings = ("--set", "auth=basic")


class TestPostgreSQLWithLogin(Next):
    scenario = "scenario-5"
    settings = ("--set", "auth=basic")


@pytest.mark.matrix
class TestMySQL(Next):
    scenario = "scenario-5-mysql"


@pytest.mark.matrix
class TestMariaDB(Next):
    scenario: ClassVar[str] = "scenario-3b-mysql"
