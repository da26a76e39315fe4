"""What is no dump of PostgreSQL's is refused before anything is taken away."""

import io
from typing import Any

import pytest

from stackctl.errors import MachineError
from stackctl.settings import Settings
from stackctl.stores.base import Entry
from stackctl.stores.postgres import PostgreSQL


class Untouched:
    """A stack whose database nobody may ask for anything."""

    def __init__(self, **chosen: Any) -> None:
        self.settings = Settings(name="x", **chosen)

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was asked for")


OWN = Untouched()
ELSEWHERE = Untouched(database="external", database_host="db.example.org")


@pytest.mark.parametrize("reach", [OWN, ELSEWHERE], ids=["own", "elsewhere"])
@pytest.mark.parametrize("names", [(), ("mysql.rows",)], ids=["nothing", "another"])
def test_it_is_refused_before_anything_is_taken_away(
    reach: Untouched, names: tuple[str, ...]
) -> None:
    entries = [(Entry(name), io.BytesIO(b"x")) for name in names]
    with pytest.raises(MachineError, match="as its database"):
        PostgreSQL().load(reach, entries, "a revision")
