"""Keeper, supervisord and guards together: whatever is killed, nothing is lost or left twice."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stackctl.errors import MachineError
from stackctl.runtimes.embedded import keeper as keeper_module
from stackctl.runtimes.embedded.supervision import Unanswered
from tests.contract.driving import until
from tests.embedded.stage import Stage

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the keeper needs Linux")

# Says when it starts and when it ends, which takes it a moment.
DIARY = """
trap 'sleep 0.3; echo -{0} >> $STAGE/diary; exit' TERM
echo +{0} >> $STAGE/diary
while :; do sleep 0.05; done"""


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    made = Stage(tmp_path, tmp_path / "my stäck")
    yield made
    made.clear()


@pytest.fixture
def running(stage: Stage) -> Stage:
    """Two services that run, one with a process of its own."""
    stage.service("a", "sleep 1001 & exec sleep 1000")
    stage.service("b")
    stage.supervision.launch()
    stage.main("a")
    stage.main("b")
    until(lambda: len(stage.of("a")) == 2, seconds=5, what="the second process of a")
    return stage


def assert_once(stage: Stage, starts: int) -> None:
    """Each service runs, once."""
    for service, processes in (("a", 2), ("b", 1)):
        stage.main(service, starts)
        until(lambda: len(stage.of(service)) == processes, seconds=5, what=f"one {service}")  # noqa: B023
    until(lambda: len(stage.processes()) == 2 + 2 + 3, seconds=5, what="and nobody else")


def keeper_of(stage: Stage) -> int:
    found = stage.supervision.keeper()
    assert found is not None
    return found


# Killed.


@pytest.mark.parametrize("killed", [Stage.main, Stage.guard], ids=["service", "guard"])
def test_a_service_that_is_killed_is_started_anew_and_no_process_of_it_is_left(
    running: Stage, killed: Callable[[Stage, str], int]
) -> None:
    before = running.of("a")
    os.kill(killed(running, "a"), signal.SIGKILL)
    running.main("a", starts=2)
    until(lambda: len(running.of("a")) == 2, seconds=5, what="both processes of a, once")
    assert not before & running.of("a")
    assert running.note("b")["starts"] == 1


def test_a_guard_that_is_killed_leaves_not_even_a_deaf_service_behind(stage: Stage) -> None:
    stage.service("a", "trap '' TERM; while :; do sleep 0.05; done", stop_seconds=1)
    stage.supervision.launch()
    old = stage.main("a")
    os.kill(stage.guard("a"), signal.SIGKILL)
    stage.main("a", starts=2)
    until(lambda: old not in stage.of("a"), seconds=10, what=f"the end of process {old}")


def test_everything_runs_again_and_nothing_twice_when_supervisord_is_killed(
    running: Stage,
) -> None:
    keeper, before = keeper_of(running), {p.pid for p in running.processes()}
    os.kill(running.supervisord(), signal.SIGKILL)
    assert_once(running, starts=2)
    assert before & {p.pid for p in running.processes()} == {keeper}
    assert set(running.supervision.processes()) == {"a", "b"}


def test_everything_ends_when_the_keeper_is_killed(running: Stage) -> None:
    os.kill(keeper_of(running), signal.SIGKILL)
    until(lambda: running.supervision.keeper() is None, seconds=2, what="the end of the keeper")
    assert (running.run / keeper_module.LOCK).exists()
    until(running.ended, seconds=10, what="the end of everything")


def test_everything_ends_when_the_keeper_is_asked_to(running: Stage) -> None:
    os.kill(keeper_of(running), signal.SIGTERM)
    until(running.ended, seconds=10, what="the end of everything")
    assert running.supervision.keeper() is None


@pytest.mark.parametrize("way", ["moved", "deleted", "put in the place of another"])
def test_everything_ends_when_the_folder_is_gone(running: Stage, way: str) -> None:
    """Services that go on would write where nobody finds it."""
    if way == "deleted":
        shutil.rmtree(running.folder)
    else:
        running.folder.rename(running.root / "moved")
    if way.startswith("put"):
        shutil.copytree(running.root / "moved" / "bundle", running.folder / "bundle")
        (running.folder / "run").mkdir()
        (running.folder / "run" / keeper_module.LOCK).touch()
    until(running.ended, seconds=10, what="the end of everything")


def test_a_supervisord_that_cannot_live_is_given_up_with_what_it_said_last(stage: Stage) -> None:
    stage.service("a")
    (stage.folder / "bundle" / "supervisord.conf").write_text("[supervisord]\nnodaemon=maybe\n")
    with pytest.raises(MachineError, match="supervisord did not start") as error:
        stage.supervision.launch()
    assert "not a valid boolean" in error.value.details
    until(stage.ended, seconds=2, what="the end of the keeper")


# Alone.


def test_a_second_keeper_goes_away_and_leaves_the_first_alone(running: Stage) -> None:
    first = keeper_of(running)
    second = subprocess.run(
        [sys.executable, "-P", "-m", "stackctl.runtimes.embedded.keeper"], cwd=running.run,
        capture_output=True, text=True, check=False, timeout=10,
    )  # fmt: skip
    assert second.returncode == 0
    assert second.stderr.endswith("another keeper is at work\n")
    assert keeper_of(running) == first
    assert_once(running, starts=1)


def test_launching_twice_is_launching_once(running: Stage) -> None:
    first = keeper_of(running)
    running.supervision.launch()
    assert keeper_of(running) == first
    assert_once(running, starts=1)


def test_the_lock_of_nobody_is_no_keeper(stage: Stage) -> None:
    assert stage.supervision.keeper() is None
    stage.run.mkdir(parents=True)
    (stage.run / keeper_module.LOCK).write_text(str(os.getpid()))
    assert stage.supervision.keeper() is None
    with pytest.raises(Unanswered):
        stage.supervision.processes()


def test_a_path_may_be_longer_than_the_name_of_a_socket(tmp_path: Path) -> None:
    stage = Stage(tmp_path, tmp_path / ("l" * 120) / ("ö" * 100))
    try:
        stage.service("a")
        stage.supervision.launch()
        stage.main("a")
        assert set(stage.supervision.processes()) == {"a"}
        stage.supervision.stop()
        assert stage.ended()
    finally:
        stage.clear()


# Started and stopped.


def test_services_stop_in_the_opposite_order_of_their_start(stage: Stage) -> None:
    for name, before in (("c", []), ("a", ["c"]), ("b", ["a"])):
        ready = {"command": ["grep", "-q", f"[+]{name}", str(stage.root / "diary")]}
        stage.service(name, DIARY.format(name), ready=ready, after=before)
    stage.supervision.launch()
    until(lambda: stage.told("diary") == ["+c", "+a", "+b"], seconds=10, what="the start of all")
    stage.supervision.stop()
    assert stage.told("diary") == ["+c", "+a", "+b", "-b", "-a", "-c"]
    assert stage.ended()
    assert stage.supervision.keeper() is None


def test_services_of_one_wave_stop_side_by_side_and_before_those_of_the_next(stage: Stage) -> None:
    for name in ("a", "b", "c"):
        stage.service(name, DIARY.format(name))
    stage.supervision.launch()
    until(lambda: sorted(stage.told("diary")) == ["+a", "+b", "+c"], seconds=10, what="the start")
    stage.supervision.stop(["a", "c"], ["b"])
    assert sorted(stage.told("diary")[3:5]) == ["-a", "-c"]
    assert stage.told("diary")[5:] == ["-b"]
    assert stage.ended()


def test_a_service_that_never_starts_is_given_up_and_the_others_go_on(stage: Stage) -> None:
    stage.service("a", "exit 1")
    stage.service("b")
    conf = stage.folder / "bundle" / "supervisord.conf"
    assert "\nstartretries=5\n" in conf.read_text()
    conf.write_text(conf.read_text().replace("\nstartretries=5\n", "\nstartretries=1\n"))
    stage.supervision.launch()
    begin = time.monotonic()
    until(lambda: stage.supervision.processes()["a"]["statename"] == "FATAL", seconds=10,
          what="the end of patience")  # fmt: skip
    assert time.monotonic() - begin > 1
    assert stage.note("a")["starts"] == 2
    stage.main("b")


def test_a_one_shot_runs_once_and_its_exit_code_is_known(stage: Stage) -> None:
    stage.service("good", "exit 0", one_shot=True)
    stage.service("bad", "exit 3", one_shot=True)
    stage.supervision.launch()

    def codes() -> dict[str, int]:
        found = stage.supervision.processes()
        return {n: p["exitstatus"] for n, p in found.items() if p["statename"] == "EXITED"}

    until(lambda: codes() == {"good": 0, "bad": 3}, seconds=10, what="the end of both")
    time.sleep(1.5)
    assert (stage.note("good")["starts"], stage.note("bad")["starts"]) == (1, 1)


def test_processes_can_be_stopped_and_started_one_by_one(running: Stage) -> None:
    running.supervision.stop_processes(["a", "a"])
    assert running.of("a") == set()
    running.supervision.start_processes(["a", "b"])
    running.main("a", starts=2)
    assert running.note("b")["starts"] == 1


def test_what_is_new_in_the_configuration_starts_and_what_is_gone_stops(running: Stage) -> None:
    del running.services["a"]
    running.service("c")
    running.supervision.update()
    running.main("c")
    assert running.of("a") == set()
    assert set(running.supervision.processes()) == {"b", "c"}
    keeper_of(running)


# While it ends.


@pytest.fixture
def slow(stage: Stage) -> Stage:
    """A service that takes two seconds to end."""
    trap = "trap 'echo > $STAGE/ending; sleep 2; exit' TERM"
    stage.service("a", f"{trap}; echo > $STAGE/up; while :; do sleep 0.05; done")
    stage.supervision.launch()
    until(lambda: (stage.root / "up").exists(), seconds=10, what="the trap")
    return stage


def begin_to_end(stage: Stage) -> None:
    """supervisord has asked the service to end."""
    os.kill(stage.supervisord(), signal.SIGTERM)
    until(lambda: (stage.root / "ending").exists(), seconds=5, what="the beginning of the end")


def test_a_supervisord_that_is_ending_does_not_answer(slow: Stage) -> None:
    begin_to_end(slow)
    with pytest.raises(Unanswered):
        slow.supervision.processes()


def test_who_stops_what_is_ending_already_waits_for_its_end(slow: Stage) -> None:
    begin_to_end(slow)
    slow.supervision.stop()
    assert slow.ended()


def test_who_stops_what_lost_its_keeper_waits_for_its_end(slow: Stage) -> None:
    os.kill(keeper_of(slow), signal.SIGKILL)
    slow.supervision.stop()
    assert slow.ended()


def test_who_launches_what_lost_its_keeper_finds_it_as_it_should_be(slow: Stage) -> None:
    old = slow.main("a")
    os.kill(keeper_of(slow), signal.SIGKILL)
    slow.supervision.launch()
    slow.main("a", starts=2)
    assert old not in slow.of("a")
    keeper_of(slow)
    assert set(slow.supervision.processes()) == {"a"}
