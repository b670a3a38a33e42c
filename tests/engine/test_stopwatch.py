"""The stopwatch: what took long is measured by the thread's own clock, and that is asked seldom."""

from __future__ import annotations

import pytest

from anabranch.engine import stopwatch
from anabranch.engine.stopwatch import NOTABLE_SECONDS, Stopwatch

SHORT, LONG = NOTABLE_SECONDS / 2, 1.0


class Clocks:
    """Both clocks of a thread: it works, or is kept waiting."""

    def __init__(self) -> None:
        self.wall = self.own = 100.0
        self.times_asked = 0

    def perf_counter(self) -> float:
        return self.wall

    def thread_time(self) -> float:
        self.times_asked += 1
        return self.own

    def works(self, seconds: float) -> None:
        self.wall += seconds
        self.own += seconds

    def waits(self, seconds: float) -> None:
        self.wall += seconds


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    clocks = Clocks()
    monkeypatch.setattr(stopwatch, "time", clocks)
    return clocks


def test_short_laps_count_for_nothing_and_ask_no_costly_clock(clocks: Clocks) -> None:
    watch = Stopwatch()
    asked = clocks.times_asked
    for _ in range(1000):
        clocks.works(SHORT)
        assert watch.lap() == 0.0
    assert clocks.times_asked == asked


def test_a_long_lap_is_what_the_thread_has_worked(clocks: Clocks) -> None:
    watch = Stopwatch()
    clocks.works(SHORT)
    watch.lap()
    clocks.works(LONG)
    clocks.waits(LONG)
    assert watch.lap() == pytest.approx(LONG)
    clocks.works(LONG)
    assert watch.lap() == pytest.approx(LONG)


def test_who_was_kept_waiting_has_not_worked(clocks: Clocks) -> None:
    """The machine was busy, or suspended: nobody who asked is to blame."""
    watch = Stopwatch()
    clocks.waits(60.0)
    clocks.works(SHORT)
    assert watch.lap() == 0.0
    clocks.works(LONG)
    assert watch.lap() == pytest.approx(LONG)
