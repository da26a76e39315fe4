"""gc: what clients deleted long enough ago is shown, and goes only where that is asked for."""

import time
from functools import partial

import pytest

from stackctl.errors import MachineError
from stackctl.operations.gc import Deleted, gc, seconds
from tests.operations.stage import Stage

HOUR = 3600


def thing(name: str, age: int) -> dict[str, object]:
    """A run that was deleted so many seconds ago."""
    return {"kind": "run", "id": name, "name": name, "experiment": "0", "bytes": 5, "traces": 0,
            "at": int((time.time() - age) * 1000)}  # fmt: skip


@pytest.fixture
def littered(stage: Stage) -> Stage:
    """With a stack `x` in which a run was deleted a minute ago, and one two days ago."""
    stage.deployed("scenario-5", "name=x")
    stage.database("x").deleted = [thing("new", 60), thing("old", 48 * HOUR)]
    return stage


def ids(found: Deleted) -> list[object]:
    return [each["id"] for each in found.things]


def test_what_was_deleted_long_enough_ago_is_shown_and_stays(littered: Stage) -> None:
    x, before = littered.recorded("x"), littered.now()
    assert ids(gc(x, HOUR, delete=False)) == ["old"]
    assert ids(gc(x, 0, delete=False)) == ["new", "old"]
    assert ids(gc(x, 72 * HOUR, delete=False)) == []
    assert littered.machine.done == []
    assert littered.now() == before


def test_it_goes_where_that_is_asked_for(littered: Stage) -> None:
    x = littered.recorded("x")
    found = gc(x, HOUR, delete=True)
    assert (ids(found), found.gone) == (["old"], ["old"])
    assert littered.machine.done == ["gc-delete"]
    assert ids(gc(x, 0, delete=False)) == ["new"]


def test_older_than_the_world_is_nothing(littered: Stage) -> None:
    assert ids(gc(littered.recorded("x"), 10**12, delete=True)) == []


@pytest.mark.parametrize(
    ("scenario", "roots", "bucket"),
    [
        ("scenario-5", ["mlflow-artifacts:"], "mlflow"),
        ("scenario-3b", ["{data}/mlruns", "file://{data}/mlruns"], ""),
    ],
)
def test_only_places_of_the_stack_itself_are_named(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, scenario: str, roots: list[str], bucket: str
) -> None:
    x = stage.deployed(scenario, "name=x")
    asked: dict[str, object] = {}

    def ask(_: object, verb: str, **job: object) -> dict[str, list[object]]:
        asked.update(job, verb=verb)
        return {"things": [], "kept": []}

    monkeypatch.setattr(type(x), "ask", ask)
    gc(x, 0, delete=False)
    assert asked["verb"] == "gc-list"
    assert (asked["roots"], asked["bucket"]) == ([r.format(data=x.data) for r in roots], bucket)


def test_a_release_without_logged_models_is_refused(stage: Stage) -> None:
    x = stage.deployed("scenario-3b", "name=x", "mlflow_version=2.22.2")
    with stage.refuses(2, "has MLflow 2.22.2, and gc needs 3.0.0 or newer", "stackctl upgrade x"):
        gc(x, 0, delete=False)


def test_a_store_that_fails_is_told_and_the_next_call_goes_on(littered: Stage) -> None:
    x = littered.recorded("x")
    for _ in littered.early_ends("fails", partial(gc, x, HOUR, delete=True)):
        assert gc(x, HOUR, delete=True).gone == ["old"]
    littered.database("x").deleted.clear()
    littered.machine.fails("gc-delete", MachineError("the bucket does not answer"))
    with pytest.raises(MachineError, match="the bucket does not answer"):
        gc(x, HOUR, delete=True)


@pytest.mark.parametrize(
    ("text", "found"), [("30d", 2592000), ("12h", 43200), ("1d12h30m10s", 131410), ("0s", 0)]
)
def test_an_age_has_units(text: str, found: int) -> None:
    assert seconds(text) == found


@pytest.mark.parametrize("text", ["", "30", "d", "1w", "-1d", "1 d", "1d!"])
def test_what_is_no_age_is_refused(stage: Stage, text: str) -> None:
    with stage.refuses(2, f"--older-than {text!r} is no age", "write it as 30d"):
        seconds(text)
