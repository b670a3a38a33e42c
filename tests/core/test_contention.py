"""What one more at a time is learned to bring, from the same work beside few and beside many."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anabranch.config.context import PlanContext
from anabranch.core.plans.contention import FEWEST_PAIRS, marginal, slowdown_of
from anabranch.core.plans.estimates import Learned, Sample
from anabranch.core.plans.plan import Work
from anabranch.testing import stream

WIDTHS = (1.0, 2.0, 4.0, 8.0)


def taken(alone: float, slowdown: float, widths: tuple[float, ...] = WIDTHS) -> list[Sample]:
    """What a work takes at several widths that each other stream slows down by such a share."""
    return [Sample("r", alone * (1 + slowdown * (w - 1)), w) for w in widths]


@given(st.floats(0.0, 1.0), st.lists(st.floats(0.1, 1000.0), min_size=2, max_size=9))
def test_the_share_by_which_each_slows_the_others_down_is_found(
    slowdown: float, works: list[float]
) -> None:
    found = slowdown_of(taken(alone, slowdown) for alone in works)
    assert found == pytest.approx(slowdown, abs=0.001)


def test_one_run_that_something_else_slowed_down_moves_nothing() -> None:
    calm = [taken(seconds, 0.1) for seconds in (1.0, 2.0, 3.0, 5.0)]
    calm[0][-1] = Sample("r", 627.0, 8.0)
    assert slowdown_of(calm) == pytest.approx(0.1, abs=0.001)


@pytest.mark.parametrize(
    "works",
    [
        [],
        [taken(1.0, 0.5, (4.0, 4.2, 5.0)) for _ in range(20)],
        [taken(float(n), 0.5, (4.0,)) for n in range(1, 20)],
        [taken(1.0, 0.5, (1.0, 2.0)) for _ in range(FEWEST_PAIRS - 1)],
        [[Sample("r", 0.0, 1.0), Sample("r", 0.0, 9.0)] for _ in range(20)],
    ],
    ids=["nothing", "near each other", "once each", "too few", "no time"],
)
def test_nothing_is_said_of_what_too_little_is_known_of(works: list[list[Sample]]) -> None:
    assert slowdown_of(works) is None


def test_what_takes_ever_longer_than_one_after_the_other_is_slowed_down_by_all() -> None:
    assert slowdown_of([[Sample("r", 1.0, 1.0), Sample("r", 90.0, 8.0)]] * 9) == 1.0


def test_one_more_brings_all_of_its_work_or_nothing() -> None:
    assert [marginal(0.0, width) for width in (1, 8, 300)] == pytest.approx([1.0] * 3)
    assert [marginal(1.0, width) for width in (1, 8, 300)] == pytest.approx([0.0] * 3)
    brings = [marginal(0.3, width) for width in range(1, 20)]
    assert brings == sorted(brings, reverse=True)


def test_a_plan_is_told_what_its_own_streams_have_taught() -> None:
    other = Work("p", "other", "true other")
    samples = {Work("p", name, f"true {name}"): tuple(taken(1.0, 0.25)) for name in "abc"}
    context = PlanContext(learned=Learned(samples | {other: tuple(taken(1.0, 1.0))}))
    assert context.slowdown("p", [stream(n) for n in "abc"]) == 0.25
    assert context.slowdown("p", [stream("new")]) is None
