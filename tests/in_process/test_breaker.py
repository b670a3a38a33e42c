"""The breaker over the handlers of one function: it opens in time, and never for good."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from anabranch.core.strategies.breaking import FIRST_SECONDS, LONGEST_SECONDS
from anabranch.in_process.breaker import Breaker


def fail(breaker: Breaker, places: range, now: float = 0.0) -> None:
    for place in places:
        breaker.take(place, has_failed=True, is_probe=False, now=now)


def test_it_opens_when_clearly_everything_fails_and_one_tries_for_all() -> None:
    breaker = Breaker(4)
    fail(breaker, range(3))
    assert breaker.admit(FIRST_SECONDS - 0.1) is None
    assert breaker.admit(FIRST_SECONDS) is True
    assert breaker.admit(FIRST_SECONDS) is None, "one tries at a time"
    assert breaker.seconds_left(FIRST_SECONDS) is None
    breaker.take(9, has_failed=False, is_probe=True, now=3.0)
    assert breaker.admit(3.0) is False


def test_one_item_that_fails_alone_does_not_open_it() -> None:
    breaker = Breaker(4)
    for _ in range(20):
        breaker.take(7, has_failed=True, is_probe=False, now=0.0)
    assert breaker.is_closed


def test_a_third_that_always_fails_does_not_open_it() -> None:
    """Fifty thousand of which a third fails are not held back again and again."""
    breaker, dice = Breaker(8), random.Random(5)
    for place in range(50_000):
        breaker.take(place, has_failed=dice.random() < 0.3, is_probe=False, now=0.0)
        assert breaker.is_closed


def test_when_it_stops_to_work_half_way_it_opens() -> None:
    breaker = Breaker(8)
    for place in range(1000):
        breaker.take(place, has_failed=False, is_probe=False, now=0.0)
    fail(breaker, range(1000, 1050))
    assert not breaker.is_closed


@given(st.lists(st.tuples(st.booleans(), st.floats(0.0, 100.0)), max_size=200), st.integers(1, 99))
def test_whatever_happens_somebody_may_start_a_minute_later(
    steps: list[tuple[bool, float]], width: int
) -> None:
    breaker, now = Breaker(width), 0.0
    for place, (has_failed, seconds) in enumerate(steps):
        is_probe = breaker.admit(now)
        if is_probe is not None:
            breaker.take(place, has_failed=has_failed, is_probe=is_probe, now=now)
        now += seconds
    assert breaker.admit(now + LONGEST_SECONDS) is not None
