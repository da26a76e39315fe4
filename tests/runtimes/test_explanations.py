"""What a failure means, and what to do about it."""

import pytest

from stackctl.observed import ServiceState
from stackctl.runtimes import explanations


def states(*found: ServiceState) -> dict[str, ServiceState]:
    return {state.name: state for state in found}


STARTING = ServiceState("postgres", "running", health="starting")
UNHEALTHY = ServiceState("objects", "running", health="unhealthy")
ENDED = ServiceState("bucket", "exited", exit_code=1)
WAITING = ServiceState("tracking", "created")


@pytest.mark.parametrize(
    ("found", "culprit"),
    [
        ((STARTING, UNHEALTHY, ENDED, WAITING), "bucket"),
        ((STARTING, UNHEALTHY, WAITING), "objects"),
        ((STARTING, WAITING), "postgres"),
        ((WAITING,), "tracking"),
        ((), None),
    ],
)
def test_the_service_that_failed_worst_is_named(
    found: tuple[ServiceState, ...], culprit: str | None
) -> None:
    assert explanations.culprit([state.name for state in found], states(*found)) == culprit


@pytest.mark.parametrize(
    ("state", "log", "told"),
    [
        (ServiceState("tracking", "restarting", out_of_memory=True), "", "memory.tracking=SIZE"),
        (STARTING, "password authentication failed", "put that value back"),
        (STARTING, "Access denied for user", "put that value back"),
        (STARTING, "out-of-date database schema", "newer MLflow"),
        (STARTING, "No space left on device", "free some disk space"),
        (STARTING, "", "--timeout SECONDS"),
        (ENDED, "", "below"),
    ],
)
def test_a_failed_start_says_what_to_do(state: ServiceState, log: str, told: str) -> None:
    error = explanations.not_ready(state.name, state, [log, "last line"])
    assert told in error.hint
    assert state.name in error.message
    assert "last line" in error.details


@pytest.mark.parametrize(
    ("cause", "told"),
    [
        (PermissionError(13, "Permission denied"), "group `docker`"),
        (FileNotFoundError(2, "FileNotFoundError"), "start Docker"),
        (ConnectionRefusedError(111, "Connection refused"), "start Docker"),
        (OSError("TLS handshake"), "TLS handshake"),
    ],
)
def test_a_daemon_that_does_not_answer_is_explained(cause: Exception, told: str) -> None:
    error = explanations.unreachable("unix:///x.sock", cause)
    assert told in str(error)
    assert "unix:///x.sock" in error.message


def test_an_image_that_is_gone_from_its_registry_names_another_way() -> None:
    error = explanations.no_image("minio/minio:1", "pulled", "a\nmanifest unknown\n")
    assert "manifest unknown" in error.message
    assert "object_store=seaweedfs" in error.hint


@pytest.mark.parametrize(
    "told",
    [
        "#9 2.1 ERROR: No matching distribution found for mlflow-skinny==3.18.0",
        "#9 2.1   cause: Because there is no version of mlflow-skinny==3.18.0 and mlflow>=3.18.0",
        "Because mlflow-skinny==3.18.0 was not found in the package registry and you require",
    ],
)
def test_an_image_whose_parts_no_index_has_names_the_part(told: str) -> None:
    error = explanations.no_image("stackctl/mlflow:3.18.0-x", "built", f"a\n{told}\nb\n")
    assert error.message.endswith("the package index has no mlflow-skinny==3.18.0")
    assert "another release" in error.hint


def test_the_line_that_tells_the_cause_is_shown_though_many_others_follow() -> None:
    lines = ["FATAL: password authentication failed", *map(str, range(100))]
    error = explanations.not_ready("postgres", STARTING, lines)
    assert "put that value back" in error.hint
    shown = error.details.splitlines()
    assert shown[1] == "  FATAL: password authentication failed"
    assert shown[-1] == "  99"
    assert len(shown) < 20
