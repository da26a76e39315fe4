"""`stackctl gc`: what it says of what goes, and of what stays."""

import pytest

from stackctl.operations import gc
from stackctl.stack import Home, Manifest
from tests.bundles import effective
from tests.conftest import Call


@pytest.fixture
def one(home: Home) -> None:
    """A home with one stack."""
    settings = effective("scenario-3b", "name=one").settings.model_dump(mode="json")
    with home.stack("one").locked():
        home.stack("one").save(
            Manifest("one", "scenario-3b", "docker", "owner", "deployed", settings)
        )


@pytest.mark.usefixtures("one")
def test_what_stays_is_told_with_the_reason(
    stackctl: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    going = {"kind": "experiment", "id": "7", "name": "old\x1b[1m", "experiment": "7",
             "bytes": 2048, "traces": 3}  # fmt: skip
    staying = {"what": "run 8 (best)", "why": "version 1 of registered model m is of it"}
    found = gc.Deleted([going], [staying], [])
    monkeypatch.setattr(gc, "gc", lambda *_, **__: found)
    answer = stackctl("gc", "one", "--older-than", "1d")
    kept, told = answer.err.splitlines()
    assert kept == "kept: run 8 (best): version 1 of registered model m is of it"
    assert told.startswith("1 would go, 2.0 kB; delete them: stackctl gc one --older-than 1d --yes")
    assert "experiment, traces: 3" in answer.out
    assert "\x1b" not in answer.out
