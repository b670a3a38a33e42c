"""When a time of day comes: in zones that change their clocks, and on a wall whose clock is set."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.engine.performers.wall_times import LOOK_SECONDS, WallTimes
from anabranch.engine.time_of_day import next_time, shown

DAYS = [
    # A usual day; the day on which clocks go forward; the one on which they go back.
    ("Europe/Berlin", "02:30", "2026-03-27T12:00+01:00", "2026-03-28T02:30+01:00"),
    ("Europe/Berlin", "02:30", "2026-03-28T12:00+01:00", "2026-03-29T03:00+02:00"),
    ("Europe/Berlin", "02:00", "2026-03-28T12:00+01:00", "2026-03-29T03:00+02:00"),
    ("Europe/Berlin", "03:00", "2026-03-28T12:00+01:00", "2026-03-29T03:00+02:00"),
    ("Europe/Berlin", "01:59:59", "2026-03-28T12:00+01:00", "2026-03-29T01:59:59+01:00"),
    ("Europe/Berlin", "02:30", "2026-10-24T12:00+02:00", "2026-10-25T02:30+02:00"),
    ("Europe/Berlin", "02:30", "2026-10-25T02:45+02:00", "2026-10-26T02:30+01:00"),
    ("Europe/Berlin", "02:30", "2026-10-25T02:15+01:00", "2026-10-26T02:30+01:00"),
    ("Europe/Berlin", "03:00", "2026-10-25T02:30+02:00", "2026-10-25T03:00+01:00"),
    # In the middle of the day by UTC, and a quarter of the world away.
    ("America/New_York", "02:30", "2026-03-07T12:00-05:00", "2026-03-08T03:00-04:00"),
    ("America/New_York", "01:30", "2026-10-31T12:00-04:00", "2026-11-01T01:30-04:00"),
    ("America/New_York", "01:30", "2026-11-01T01:45-04:00", "2026-11-02T01:30-05:00"),
    ("America/New_York", "23:30", "2026-11-01T23:00-05:00", "2026-11-01T23:30-05:00"),
    # By half an hour, on the other half of the world.
    ("Australia/Lord_Howe", "02:15", "2026-10-03T12:00+10:30", "2026-10-04T02:30+11:00"),
    ("Australia/Lord_Howe", "01:45", "2027-04-03T12:00+11:00", "2027-04-04T01:45+11:00"),
    ("Australia/Lord_Howe", "01:45", "2027-04-04T01:50+11:00", "2027-04-05T01:45+10:30"),
    # A day that was left out as a whole.
    ("Pacific/Apia", "02:30", "2011-12-29T12:00-10:00", "2011-12-31T00:00+14:00"),
]


def instant(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(("zone", "at", "after", "comes"), DAYS)
def test_a_time_comes_when_clocks_first_show_it_or_a_later_one(
    zone: str, at: str, after: str, comes: str
) -> None:
    found = next_time(at, ZoneInfo(zone), instant(after))
    assert datetime.fromtimestamp(found, UTC) == datetime.fromisoformat(comes)


@settings(max_examples=300)
@given(
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
    st.times(),
    st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)),
)
def test_it_is_the_first_instant_and_comes_within_a_day_and_a_gap(
    name: str, at: object, after: datetime
) -> None:
    """Clocks show that time then, or the end of the gap that it lies in."""
    zone, text = ZoneInfo(name), str(at)[:8]
    start = after.replace(tzinfo=UTC).timestamp()
    found = next_time(text, zone, start)
    assert 0 <= found - start <= timedelta(hours=26).total_seconds()
    there, before = (datetime.fromtimestamp(found - back, zone) for back in (0, 1))
    is_in_gap = there.utcoffset() != before.utcoffset()
    assert f"{there:%H:%M:%S}" == text or (is_in_gap and f"{there:%H:%M:%S}" > text)


def test_what_clocks_show_is_told_with_the_day_and_the_zone() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    assert shown(instant("2026-03-29T03:00+02:00"), berlin) == "2026-03-29 03:00 CEST"
    assert shown(instant("2026-01-01T03:00:05+01:00"), berlin) == "2026-01-01 03:00:05 CET"


@pytest.fixture
def machine_in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("machine_in_berlin")
def test_without_a_zone_it_is_that_of_the_machine() -> None:
    for zone, at, after, comes in DAYS:
        if zone == "Europe/Berlin":
            assert next_time(at, None, instant(after)) == instant(comes)
    assert shown(instant("2026-03-29T03:00+02:00"), None) == "2026-03-29 03:00 CEST"


# --- the wall ------------------------------------------------------------------------------------


class Wall:
    """A machine with a clock that nobody sets, and one on the wall that anybody may."""

    def __init__(self, wall: str) -> None:
        self.now, self.ahead = 0.0, instant(wall)
        self.found: list[inputs.TimeFound] = []
        self.owed = True
        self.times = WallTimes(
            lambda: self.now, lambda effect: self.owed, self._take, lambda: self.now + self.ahead
        )
        self._start = self.ahead

    def _take(self, given: inputs.Input) -> None:
        assert isinstance(given, inputs.TimeFound)
        self.found.append(given)

    def wants(self, at: str, zone: str = "Europe/Berlin", cause: int = 7) -> fx.FindTime:
        wanted = fx.FindTime(
            stream=StreamId("a"), at=at, zone=zone, after_wall=self._start, cause=cause
        )
        self.times.add(wanted)
        return wanted

    def news(self) -> list[float]:
        """Return the moments of the run clock that it tells of when it looks now."""
        self.found.clear()
        self.patience = self.times.look()
        return [fact.due_at for fact in self.found]


def test_it_is_told_when_a_time_comes_and_when_it_has_come() -> None:
    wall = Wall("2026-11-30T02:29:00+01:00")
    wall.wants("02:30")
    assert wall.news() == [60.0]
    assert wall.found[0].shown == "2026-11-30 02:30 CET"
    assert wall.found[0].cause == 7
    assert wall.patience == LOOK_SECONDS
    wall.now = 57.0
    assert (wall.news(), wall.patience) == ([], 3.0)
    wall.now = 60.0
    assert wall.news() == [60.0]
    assert wall.news() == []
    wall.owed = False
    assert wall.news() == []


def test_a_clock_that_is_set_forward_and_back_moves_it() -> None:
    wall = Wall("2026-11-30T01:00:00+01:00")
    wall.wants("02:30")
    assert wall.news() == [5400.0]
    wall.ahead -= 1800
    assert wall.news() == [7200.0]
    wall.ahead += 0.5
    assert wall.news() == []
    wall.ahead += 3600
    assert wall.news() == [pytest.approx(3599.5)]


def test_a_machine_that_has_slept_over_it_is_told_how_long_ago_it_was() -> None:
    """The run clock stands still meanwhile, as monotonic clocks do."""
    wall = Wall("2026-11-30T02:29:00+01:00")
    wall.wants("02:30")
    wall.news()
    wall.now += 5
    wall.ahead += 8 * 3600
    (due_at,) = wall.news()
    assert wall.now - due_at == 8 * 3600 - 55


def test_a_clock_set_back_after_it_has_come_does_not_have_it_come_twice() -> None:
    """Nobody waits for it any more: what has started has started."""
    wall = Wall("2026-11-30T02:29:59+01:00")
    wall.wants("02:30")
    wall.now = 2.0
    assert wall.news() == [1.0]
    wall.owed = False
    wall.ahead -= 3600
    assert wall.news() == []


def test_a_zone_that_this_machine_does_not_know_is_said() -> None:
    wall = Wall("2026-11-30T02:29:59+01:00")
    wall.wants("02:30", "Europe/Nowhere")
    assert wall.news() == []
    assert wall.times.trouble is not None
    assert "Europe/Nowhere" in wall.times.trouble
