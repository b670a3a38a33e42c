"""So many handlers are started in a window of time: by a model of time, and by real processes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anabranch.handlers import book
from anabranch.handlers.rate import Rate, last_begun


def most_in_a_window(starts: list[float], per: float) -> int:
    return max((sum(0 <= late - one < per - 1e-6 for one in starts) for late in starts), default=0)


@settings(max_examples=300)
@given(
    st.integers(1, 4),
    st.floats(0.1, 20.0),
    st.lists(st.tuples(st.floats(0.0, 5.0), st.floats(0.0, 9.0), st.booleans()), max_size=40),
    st.lists(st.floats(-30.0, 0.0), max_size=6),
)
def test_no_window_ever_holds_more_starts_than_allowed(
    at_most: int,
    per: float,
    wishes: list[tuple[float, float, bool]],
    earlier: list[float],
) -> None:
    """However long it takes from a beginning to the start, and whether it comes about or not."""
    rate, now = Rate(at_most, per, sorted(earlier)), 0.0
    starts: list[float] = []
    under_way: list[tuple[float, bool]] = []
    for pause, takes, comes_about in [*wishes, (1000.0, 0.0, False)]:
        end = now + pause
        while under_way and min(under_way)[0] <= end:
            now, has_started = under_way.pop(under_way.index(min(under_way)))
            if has_started:
                rate.started(now)
                starts.append(now)
            else:
                rate.given_up()
        now = end
        if rate.allows(now):
            rate.begins()
            under_way.append((now + takes, comes_about))
    before = sorted(earlier)[-at_most:]
    assert most_in_a_window([*before, *starts], per) <= max(at_most, most_in_a_window(before, per))


def test_it_allows_all_that_it_can() -> None:
    rate = Rate(2, 10.0)
    for _ in range(2):
        assert rate.allows(0.0)
        rate.begins()
    assert not rate.allows(0.0)
    assert rate.wait_seconds(0.0) == math.inf, "only a start, and then time, makes room"
    rate.started(1.0)
    rate.started(4.0)
    assert rate.wait_seconds(5.0) == 6.0
    assert rate.allows(11.0)
    rate.begins()
    assert not rate.allows(13.0)
    rate.given_up()
    assert rate.allows(13.0)


def test_without_a_rate_all_may_begin() -> None:
    rate = Rate(None, 0.0)
    for _ in range(1000):
        rate.begins()
        assert rate.allows(0.0)
    assert rate.wait_seconds(0.0) == math.inf


@pytest.mark.parametrize(("wall", "ages"), [(1010.0, [9.0, 6.0]), (1002.0, [1.0, 0.0])])
def test_what_an_earlier_attempt_began_is_read_from_the_book(
    tmp_path: Path, wall: float, ages: list[float]
) -> None:
    """A clock that was set back meanwhile makes it newer, never older than the machine knows."""
    path = tmp_path / "book"
    begun = [(0, 1000.0), (1, 1001.0), (2, 1004.0)]
    path.write_text("".join(book.begun_line(n, "k", 1, at, 0, "i") for n, at in begun))
    found = last_begun(str(path), 2, wall, 500.0)
    assert [500.0 - at for at in found] == ages
