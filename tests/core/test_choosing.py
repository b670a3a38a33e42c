"""Another strategy is chosen while the run goes on, for what has not begun."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.choosing import candidates
from anabranch.core.ids import PointId
from anabranch.core.model.snapshots import decode_state, encode_state
from anabranch.core.plans.plan import PointPlan, StreamPlan
from anabranch.core.strategies import PointDecision, PointView, WaitForMore
from anabranch.testing import ByHand, plan_of, point, stream
from anabranch.testing.trying import strategies_with

FINAL = PointId("final")


def begun(*members: StreamPlan | PointPlan) -> ByHand:
    return ByHand(plan_of(*members), strategies_with())


def test_a_point_that_has_not_begun_takes_another_type() -> None:
    """What has arrived is looked at again at once, by the new one."""
    run = begun(stream("a"), stream("b"))
    run.succeed("a")
    assert not run.state.points[FINAL].merging
    choice = inputs.ChooseStrategy(kind="convergence", strategy="progressive", point=FINAL)
    run.give(choice)
    assert isinstance(run.records[-2].event, ev.StrategyChosen)
    plan = run.state.point_plan(FINAL)
    assert (plan.type, plan.merges_early) == ("progressive", True)
    assert run.state.points[FINAL].merging == ("a",)


def test_it_outlives_a_snapshot() -> None:
    run = begun(stream("a"))
    run.give(inputs.ChooseStrategy(kind="balancer", strategy="plan-order"))
    assert run.state.plan.balancer == "plan-order"
    assert decode_state(encode_state(run.state)) == run.state


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (inputs.ChooseStrategy(kind="colour", strategy="red"), "no choice of 'colour'"),
        (inputs.ChooseStrategy(kind="balancer", strategy="plan-ordr"), "not installed"),
        (inputs.ChooseStrategy(kind="fallback", strategy="hard"), "not installed"),
        (inputs.ChooseStrategy(kind="balancer", strategy="longest-first"), "already"),
        (
            inputs.ChooseStrategy(kind="convergence", strategy="barrier", point=PointId("no")),
            "no point 'no'",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(choice: inputs.ChooseStrategy, words: str) -> None:
    run = begun(stream("a"))
    assert run.give(choice) == []
    assert run.refusal is not None
    assert words in run.refusal.reason
    assert run.refusal.hint


def test_a_point_that_has_begun_keeps_its_type() -> None:
    run = begun(stream("a"), stream("b"), point("final", type="progressive", merges_early=True))
    run.succeed("a")
    run.give(inputs.ChooseStrategy(kind="convergence", strategy="barrier", point=FINAL))
    assert run.refusal is not None
    assert "has begun to merge" in run.refusal.reason


def test_nobody_is_left_waiting_for_a_merge_that_comes_last() -> None:
    early = point("final", type="progressive", merges_early=True)
    others = (stream("c"), stream("d", "a"))
    run = begun(stream("a"), stream("b", "a:converged"), *others, early)
    barrier = inputs.ChooseStrategy(kind="convergence", strategy="barrier", point=FINAL)
    run.give(barrier)
    assert run.refusal is not None
    assert "wait until it has merged" in run.refusal.reason
    run = begun(stream("a"), *others, early)
    run.give(barrier)
    assert run.state.point_plan(FINAL).type == "barrier"


def test_a_type_that_does_not_take_the_points_options_is_refused() -> None:
    queue = point("final", type="progressive", merges_early=True, options={"at_once": 1})
    run = begun(stream("a"), stream("b"), queue)
    run.give(inputs.ChooseStrategy(kind="convergence", strategy="checkpoint", point=FINAL))
    assert run.refusal is not None
    assert "does not take the options of final" in run.refusal.reason
    assert "at_once" in run.refusal.reason


def test_the_engines_own_option_reaches_only_who_takes_it() -> None:
    """A plugin's options forbid what they do not know, and ``reduce`` is the engine's."""
    seen: list[Mapping[str, object]] = []

    class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        k: int = 1

    class Strict:
        name = "strict"
        options_type = Options

        def next_step(self, view: PointView, now: float) -> PointDecision:
            seen.append(view.options)
            msgspec.convert(dict(view.options), Options)
            return WaitForMore("more")

    wanted = point("final", type="strict", options={"k": 2, "reduce": "collect"})
    run = ByHand(plan_of(stream("a"), stream("b"), wanted), strategies_with(Strict()))
    run.succeed("a")
    assert seen
    assert all(options == {"k": 2} for options in seen)


def test_the_candidates_are_named_as_short_as_can_be() -> None:
    assert set(candidates(strategies_with(), "fallback")) == {"sequential", "degrade", "stop"}
    assert "barrier" in candidates(strategies_with(), "convergence")
    assert not [n for n in candidates(strategies_with(), "convergence") if ":" in n]
