"""Waits that follow the machine's speed."""

import time

import pytest

from stackctl import pace
from stackctl.pace import Patience


def slow(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_burst", lambda: pace._USUAL_BURST * factor)
    monkeypatch.setattr(pace, "_waiting", lambda: 0.0)


class Clock:
    """A clock that a test moves."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(time, "monotonic", lambda: self.now)


@pytest.mark.parametrize("factor", [0.3, 1.0])
def test_a_fast_machine_has_the_limit_itself(
    factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow(factor, monkeypatch)
    clock = Clock(monkeypatch)
    patience = Patience(60)
    clock.now += 59.9
    assert not patience.is_over()
    clock.now += 0.2
    assert patience.is_over()


def test_a_slow_machine_has_as_much_more(monkeypatch: pytest.MonkeyPatch) -> None:
    slow(4, monkeypatch)
    clock = Clock(monkeypatch)
    patience = Patience(60)
    for _ in range(239):
        clock.now += 1
        assert not patience.is_over()
    clock.now += 2
    assert patience.is_over()


def test_only_the_slow_part_of_a_wait_is_stretched(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    slow(1, monkeypatch)
    patience = Patience(60)
    clock.now += 30
    assert patience.spent == pytest.approx(30)
    slow(5, monkeypatch)
    clock.now += 30
    assert patience.spent == pytest.approx(36)


def test_waiting_ends_on_the_slowest_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    slow(1e6, monkeypatch)
    assert pace.pace() == pace._SLOWEST


def test_programs_that_share_the_processor_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_burst", lambda: 0.0)
    monkeypatch.setattr(pace, "_waiting", lambda: 3.5)
    assert pace.pace() == 3.5


def test_asking_costs_next_to_nothing() -> None:
    """Nothing is written or started; it can be asked at every look."""
    begin = time.process_time()
    for _ in range(20):
        pace.pace()
    assert time.process_time() - begin < 1.0
