"""What learned durations brought, and how right they were: what the report tells of both."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given as given_any
from hypothesis import strategies as st
from msgspec.structs import replace

from anabranch.core.ids import StreamId
from anabranch.core.plans.plan import Plan, StreamPlan
from anabranch.core.views.accounting import report
from anabranch.core.views.learning import gain_of_learning
from anabranch.testing import plan_of, stream
from anabranch.testing.staged_run import StagedRun
from tests.core.given import STRATEGIES

Seconds = dict[StreamId, float]


def planned(*streams: tuple[str, float, tuple[str, ...]], **fields: Any) -> tuple[Plan, Seconds]:
    """Return a plan whose durations were learned, and those durations, from (name, s, after)."""
    seconds = {StreamId(name): took for name, took, _ in streams}
    plans = [_learned(name, took, after) for name, took, after in streams]
    return plan_of(*plans, **{"max_parallel": 2, **fields}), seconds


def _learned(name: str, took: float, after: tuple[str, ...]) -> StreamPlan:
    return stream(name, *after, estimate_seconds=took, estimate_basis="learned")


def blind(plan: Plan) -> Plan:
    """Return a plan of which nothing was learned."""
    streams = (replace(s, estimate_seconds=1.0, estimate_basis="guessed") for s in plan.streams)
    return replace(plan, streams=tuple(streams))


LONG_LAST = planned(("a", 3.0, ()), ("b", 3.0, ()), ("c", 4.0, ()), ("d", 10.0, ()))


def told(plan: Plan, seconds: Seconds) -> dict[str, Any]:
    """Return the estimates of the report of a staged run."""
    run = StagedRun(plan, STRATEGIES, seconds)
    found: dict[str, Any] = report(run.state, [], run.makespan, {})["estimates"]
    return found


def test_the_long_stream_that_was_known_to_be_long_did_not_start_last() -> None:
    found = told(*LONG_LAST)
    assert (found["gain_seconds"], found["gain_reason"]) == (3.0, "")
    assert found["gain_share"] == round(3.0 / 13.0, 4)


def test_the_gain_is_what_two_runs_differ_by() -> None:
    """Real decisions, with and without what was learned, on the same durations."""
    for seed in range(10):
        rng = Random(seed)
        streams = [(f"s{n}", round(rng.lognormvariate(1.0, 1.0), 3), ()) for n in range(30)]
        plan, seconds = planned(*streams, max_parallel=4)
        used = StagedRun(plan, STRATEGIES, seconds)
        guessed = StagedRun(blind(plan), STRATEGIES, seconds)
        found = gain_of_learning(used.state, seconds)
        assert found.seconds == pytest.approx(guessed.makespan - used.makespan, abs=1e-3)


def test_wrong_estimates_may_cost_time_and_that_is_told() -> None:
    plan, seconds = LONG_LAST
    wrong = [replace(s, estimate_seconds=1.0 / seconds[s.id]) for s in plan.streams]
    in_good_order = replace(plan, streams=tuple(reversed(wrong)))
    found = told(in_good_order, seconds)
    assert found["gain_seconds"] == -3.0
    assert not gain_of_learning(StagedRun(in_good_order, STRATEGIES, seconds).state, seconds).is_one


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (blind(LONG_LAST[0]), "nothing had been learned"),
        (replace(LONG_LAST[0], balancer="plan-order"), "plan-order does not go by"),
        (replace(LONG_LAST[0], balancer="round-robin"), "round-robin does not go by"),
    ],
)
def test_where_no_gain_can_be_told_the_report_says_why(plan: Plan, reason: str) -> None:
    found = told(plan, LONG_LAST[1])
    assert found["gain_seconds"] is found["gain_share"] is None
    assert found["gain_reason"].startswith(reason)


def test_nothing_is_gained_where_everybody_has_a_slot() -> None:
    plan, seconds = LONG_LAST
    assert told(replace(plan, max_parallel=4), seconds)["gain_seconds"] == 0.0


def test_what_a_priority_brings_is_no_gain_of_learning() -> None:
    """The plan's author put the long one first: guesses would have done the same."""
    plan, seconds = LONG_LAST
    first = [replace(s, priority=int(s.id == "d")) for s in plan.streams]
    assert told(replace(plan, streams=tuple(first)), seconds)["gain_seconds"] == 0.0


@given_any(st.integers(0, 10_000))
def test_a_gain_is_never_more_than_all_of_it(seed: int) -> None:
    """Of any plan of chains: no replay is shorter than the work that one slot has at least."""
    rng = Random(seed)
    streams = [
        (f"s{n}", round(rng.lognormvariate(1.0, 1.0), 3), (f"s{n - 3}",) if n >= 3 else ())
        for n in range(12)
    ]
    plan, seconds = planned(*streams)
    found = gain_of_learning(StagedRun(plan, STRATEGIES, seconds).state, seconds)
    assert found.share is not None
    assert -1.0 <= found.share < 0.5


def test_each_stream_has_its_prediction_beside_what_it_took() -> None:
    plan, seconds = LONG_LAST
    known = replace(plan.streams[0], estimate_runs=6, usual_seconds=2.5, long_seconds=8.0)
    first, second = told(replace(plan, streams=(known, *plan.streams[1:])), seconds)["streams"][:2]
    assert first == {
        "stream": "a",
        "basis": "learned",
        "runs": 6,
        "predicted_seconds": 3.0,
        "p50_seconds": 2.5,
        "p95_seconds": 8.0,
        "actual_seconds": 3.0,
    }
    assert (second["p50_seconds"], second["p95_seconds"]) == (None, None)
