"""One word for the state of a stack, and the size of its folder."""

from pathlib import Path

import pytest

from stackctl.machine import folder_bytes
from stackctl.observed import ServiceState, state_of
from stackctl.stack import Manifest

RUNS = ServiceState("tracking", "running", health="healthy")
STARTS = ServiceState("postgres", "running", health="starting")
SICK = ServiceState("objects", "running", health="unhealthy")
DONE = ServiceState("bucket", "exited", exit_code=0, once=True)
BROKEN = ServiceState("bucket", "exited", exit_code=1, once=True)
ENDED = ServiceState("tracking", "exited", exit_code=0)


@pytest.mark.parametrize(
    ("status", "services", "word"),
    [
        ("deployed", (RUNS, DONE), "running"),
        ("deployed", (RUNS, STARTS, DONE), "starting"),
        ("deployed", (RUNS, SICK), "degraded"),
        ("deployed", (RUNS, BROKEN), "degraded"),
        ("deployed", (BROKEN,), "stopped"),
        ("deployed", (ENDED, DONE), "stopped"),
        ("deployed", (), "stopped"),
        ("removed", (), "removed"),
        ("deploying", (), "deploying"),
    ],
)
def test_a_stack_has_one_state(status: str, services: tuple[ServiceState, ...], word: str) -> None:
    manifest = Manifest("s", "scenario-5", "docker", "owner", status=status)
    assert state_of(manifest, services) == word


def test_the_size_of_a_folder_counts_files_once(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "file")
    assert folder_bytes(tmp_path) == 5
