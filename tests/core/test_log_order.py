"""The order of lines of several logs: by time, each log's own order kept."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from anabranch.core.views.log_order import Order

TIMES = st.lists(st.none() | st.integers(0, 20).map(float), max_size=12)


def test_a_line_without_a_time_stays_behind_the_one_above_it() -> None:
    """Before all if there is none; what has the same time comes in the order of the logs."""
    first: list[tuple[float | None, str]] = [(None, "a"), (2.0, "b"), (None, "c"), (5.0, "d")]
    second: list[tuple[float | None, str]] = [(1.0, "u"), (2.0, "v"), (3.0, "w")]
    merged = [item for _, item in Order().merged([first, second])]
    assert merged == ["a", "u", "b", "c", "v", "w", "d"]


def test_a_clock_that_is_set_back_turns_nothing_round() -> None:
    """Also not between one look and the next."""
    order = Order()
    first = list(order.merged([[(9.0, 0), (3.0, 1)], [(5.0, 0)]]))
    assert first == [(1, 0), (0, 0), (0, 1)]
    assert list(order.merged([[(4.0, 2)], [(8.0, 1)]])) == [(1, 1), (0, 2)]


@given(st.lists(TIMES, max_size=4))
def test_nothing_is_lost_and_each_log_keeps_its_order(logs: list[list[float | None]]) -> None:
    given_ = [list(zip(times, range(len(times)), strict=True)) for times in logs]
    merged = list(Order().merged(given_))
    for place, lines in enumerate(given_):
        assert [item for log, item in merged if log == place] == [item for _, item in lines]
    latest = {place: float("-inf") for place in range(len(logs))}
    shown = []
    for place, item in merged:
        time = logs[place][item]
        latest[place] = latest[place] if time is None else max(latest[place], time)
        shown.append(latest[place])
    assert all(before <= after for before, after in pairwise(shown))
