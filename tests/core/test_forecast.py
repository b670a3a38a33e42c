"""How the rest of a run is expected to go, from any moment of it."""

from __future__ import annotations

import random
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from anabranch.core.ids import StreamId
from anabranch.core.plans.forecast import LATE_SHARE, Forecast, Standing, expected_rest, forecast
from anabranch.core.plans.graph import estimated_seconds, lower_bound_seconds
from anabranch.core.plans.network import network_of, waiters_of
from anabranch.core.plans.plan import Plan
from anabranch.core.views.outlook import rest_of, with_outlook
from anabranch.testing import ByHand, plan_of, stream
from tests.core.given import STRATEGIES

A, B, C, D = (StreamId(name) for name in "abcd")
DIAMOND = plan_of(
    stream("a", estimate_seconds=2.0),
    stream("b", "a", estimate_seconds=5.0),
    stream("c", "a", estimate_seconds=1.0),
    stream("d", "b", "c", estimate_seconds=3.0),
    max_parallel=2,
)


def seen(
    standings: dict[StreamId, Standing] | None = None, now: float = 0.0, plan: Plan = DIAMOND
) -> Forecast:
    return forecast(network_of(plan), plan, standings or {}, plan.max_parallel, now)


def test_at_the_start_it_is_the_plans_estimate() -> None:
    found = seen()
    assert found.end == estimated_seconds(DIAMOND, 2) == 10.0
    assert found.critical == (A, B, D)
    times = {s: (e.start, e.end) for s, e in found.streams.items()}
    assert times == {A: (0, 2), B: (2, 7), C: (2, 3), D: (7, 10)}
    assert {s: e.slack for s, e in found.streams.items()} == {A: 0, B: 0, C: 4, D: 0}


@pytest.mark.parametrize(
    ("elapsed", "rest"), [(0.0, 10.0), (4.0, 6.0), (10.0, 10.0 * LATE_SHARE), (600.0, 120.0)]
)
def test_the_time_that_one_has_run_is_a_lower_bound(elapsed: float, rest: float) -> None:
    assert expected_rest(10.0, elapsed) == pytest.approx(rest)


def test_who_is_late_moves_the_end_at_once() -> None:
    over = Standing(is_over=True)
    running = {A: over, B: Standing(started_at=2.0), C: Standing(started_at=2.0)}
    assert seen(running, 3.0).end == 10.0
    late = seen({A: over, B: over, C: Standing(started_at=2.0)}, 22.0)
    assert late.end == pytest.approx(22.0 + 20.0 * LATE_SHARE + 3.0)
    assert late.critical == (C, D)


def test_one_that_is_not_to_begin_yet_is_waited_for() -> None:
    found = seen({A: Standing(not_before=6.0)}, 1.0)
    assert found.streams[A].start == 6.0
    assert found.end == 16.0


def test_what_is_over_is_expected_no_more() -> None:
    over = Standing(is_over=True)
    found = seen(dict.fromkeys((A, B, C, D), over), 12.0)
    assert (found.end, found.streams, found.critical) == (12.0, {}, ())


def random_plan(seed: int) -> Plan:
    rng = random.Random(seed)
    members = []
    for number in range(rng.randint(1, 14)):
        before = [f"s{n}" for n in range(number) if rng.random() < 0.25]
        seconds = rng.choice((0.5, 1.0, 3.0, 8.0))
        members.append(stream(f"s{number}", *before, estimate_seconds=seconds))
    return plan_of(*members, max_parallel=rng.randint(1, 4))


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 1.0))
def test_from_any_moment_of_a_run_that_goes_as_expected_the_end_is_the_same(
    seed: int, share: float
) -> None:
    """The forecast of what is left agrees with the one at the start, and with the bound."""
    plan = random_plan(seed)
    first = seen(plan=plan)
    now = share * first.end
    standings = {
        s: Standing(is_over=e.end <= now, started_at=e.start if e.start <= now else None)
        for s, e in first.streams.items()
    }
    later = seen(standings, now, plan)
    assert later.end == pytest.approx(first.end)
    assert first.end >= lower_bound_seconds(plan, plan.max_parallel) - 1e-9


def test_who_waits_is_counted_through_others_and_points() -> None:
    network = network_of(DIAMOND)
    assert waiters_of(network) == [3, 1, 1, 0]
    through = plan_of(
        stream("a", converge="p"),
        stream("b", converge="p"),
        stream("c", "a:converged"),
        stream("d"),
    )
    assert waiters_of(network_of(through)) == [1, 1, 0, 0]


@pytest.mark.parametrize(
    ("tty", "basis", "worked", "is_told"),
    [
        (False, "guessed", 1.0, True),
        (False, "guessed", 10.0, False),
        (False, "learned", 12.0, True),
        (True, "guessed", 1.0, False),
        (True, "learned", 1.0, True),
    ],
)
def test_no_end_is_foretold_that_nobody_can_know(
    tty: bool, basis: Literal["guessed", "learned"], worked: float, is_told: bool
) -> None:
    one = stream("a", tty=tty, estimate_seconds=10.0, estimate_basis=basis)
    hand = ByHand(plan_of(one), STRATEGIES)
    hand.run("a")
    now = (hand.stream("a").started_at or 0.0) + worked
    assert (rest_of(hand.state, now) is not None) == is_told
    assert (with_outlook({"streams": []}, hand.state, now)["expected_end"] is not None) == is_told


def test_an_open_run_whose_streams_are_over_ends_when_somebody_says_so() -> None:
    hand = ByHand(replace(plan_of(stream("a")), is_open=True), STRATEGIES)
    hand.succeed("a")
    assert not hand.state.has_ended
    assert rest_of(hand.state, 9.0) is None
