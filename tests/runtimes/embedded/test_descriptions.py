"""What the files of a stack tell of its processes."""

import json
from typing import Any

import pytest

from stackctl.observed import ServiceState
from stackctl.runtimes.embedded import descriptions as services
from stackctl.runtimes.embedded import folders
from stackctl.stack import Home, Stack, write_files
from tests.bundles import processes

DESCRIPTION = {"digest": "1", "image": "x", "published": ["127.0.0.1:5000"]}
READY = {**DESCRIPTION, "ready": {"command": ["true"]}}
NOT_READY = {**DESCRIPTION, "ready": {"command": ["false"]}}


def process(state: str, age: int = 5, code: int = 0) -> dict[str, Any]:
    """As supervisord tells of it."""
    return {"statename": state, "start": 1000, "now": 1000 + age, "exitstatus": code}


def written(home: Home, name: str) -> Stack:
    stack = home.stack("one")
    write_files(stack.bundle, processes(name).files)
    return stack


@pytest.mark.parametrize("name", ["scenario-5", "scenario-3b-mysql", "scenario-6"])
def test_processes_come_after_those_they_need(home: Home, name: str) -> None:
    found = services.descriptions(written(home, name))
    assert set(found) == {service.name for service in processes(name).services}
    for position, (service, description) in enumerate(found.items()):
        assert set(description["after"]) <= set(list(found)[:position]), service


def test_a_file_that_is_damaged_is_left_out_and_no_stack_has_none(home: Home) -> None:
    assert services.descriptions(home.stack("two")) == {}
    assert services.notes(home.stack("two")) == {}
    stack = written(home, "scenario-5")
    (stack.bundle / "processes" / "tracking.toml").write_text("[")
    assert set(services.descriptions(stack)) == {"postgres", "objects"}
    folders.run(stack).mkdir()
    (folders.run(stack) / "objects.json").write_text("{")
    (folders.run(stack) / "postgres.json").write_text(json.dumps({"digest": "1"}))
    assert services.notes(stack) == {"postgres": {"digest": "1"}}


def test_those_that_keep_data_stop_after_those_that_use_them(home: Home) -> None:
    found = services.descriptions(written(home, "scenario-5"))
    users, keepers = services.waves(found, list(found))
    assert (set(users), set(keepers)) == ({"tracking"}, {"postgres", "objects"})
    assert services.waves(found, ["postgres"]) == [["postgres"]]
    assert services.waves(found, []) == []


@pytest.mark.parametrize(
    ("description", "told", "note", "known", "state"),
    [
        (READY, process("RUNNING"), "1", False, "running, healthy"),
        (READY, process("STARTING"), "1", False, "running, healthy"),
        (NOT_READY, process("RUNNING"), "1", True, "running, healthy"),
        (NOT_READY, process("RUNNING"), "1", False, "running, starting"),
        (NOT_READY, process("RUNNING", age=600), "1", False, "running, unhealthy"),
        # What answers is still what was there before.
        (READY, process("RUNNING"), "old", False, "running, starting"),
        (READY, process("RUNNING"), "", False, "running, starting"),
        (DESCRIPTION, process("RUNNING"), "1", False, "running"),
        (READY, process("BACKOFF"), "1", False, "restarting"),
        (READY, process("FATAL", code=1), "1", False, "dead"),
        (DESCRIPTION, process("EXITED", code=3), "1", False, "exited (3)"),
        (DESCRIPTION, process("EXITED"), "1", False, "exited (0)"),
        (READY, process("STOPPED"), "1", False, "stopped"),
        (READY, None, "1", False, "stopped"),
    ],
)
def test_a_service_is_what_supervisord_its_guard_and_its_probe_tell(
    description: dict[str, Any], told: dict[str, Any] | None, note: str, known: bool, state: str
) -> None:
    found = services.state_of("x", description, told, {"digest": note} if note else {}, known)
    assert str(found) == state
    assert found.digest == note
    assert found.ports == (("127.0.0.1:5000",) if found.state == "running" else ())


@pytest.mark.parametrize(
    ("state", "starts", "hopeless"),
    [
        (ServiceState("x", "dead"), 1, True),
        (ServiceState("x", "restarting"), 1, False),
        (ServiceState("x", "restarting"), 3, True),
        (ServiceState("x", "exited", exit_code=1), 1, True),
        (ServiceState("x", "exited"), 1, False),
        (ServiceState("x", "running", "unhealthy"), 4, False),
        # Each time it lives long enough to be taken for started.
        (ServiceState("x", "running", "starting"), 5, True),
        (ServiceState("x", "running", "healthy"), 9, False),
    ],
)
def test_a_deploy_waits_only_for_what_may_still_come_up(
    state: ServiceState, starts: int, hopeless: bool
) -> None:
    assert services.is_hopeless(state, starts) is hopeless
