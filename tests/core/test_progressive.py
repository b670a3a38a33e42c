"""The merge queue: streams are merged as they complete, and whoever waits for them goes on."""

from __future__ import annotations

from typing import Any

import pytest

from anabranch.core import effects as fx
from anabranch.core.folds.inheritance import inherited_by
from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.state import Point, PointPhase
from anabranch.core.plans.plan import PointPlan, StreamPlan
from anabranch.core.strategies import Converge, PointView, WaitForMore
from anabranch.testing import ByHand, point, stream
from tests.core.given import STRATEGIES, given

PROGRESSIVE = STRATEGIES.convergence["progressive"]
P = PointId("p")


def queue(name: str = "final", **fields: Any) -> PointPlan:
    return point(name, type="progressive", merges_early=True, **fields)


def at(run: ByHand, name: str = "final") -> Point:
    return run.state.points[PointId(name)]


def meets(name: str, *after: str, **fields: Any) -> StreamPlan:
    return stream(name, *after, converge=P, **fields)


def test_each_stream_is_merged_as_it_completes_and_the_point_opens_again() -> None:
    run = given(stream("a"), stream("b"), stream("c"), queue())
    assert run.succeed("a")[-1] == "convergence_started final"
    assert run.merged() == ["convergence_merged final"]
    assert (at(run).phase, at(run).merged) == (PointPhase.OPEN, ("a",))
    run.succeed("b")
    assert at(run).merging == ("a", "b")
    run.merged()
    run.succeed("c")
    assert run.merged() == ["convergence_merged final", "run_converged"]
    assert at(run).merged == ("a", "b", "c")


def test_who_comes_while_a_part_is_merged_is_merged_next() -> None:
    run = given(stream("a"), stream("b"), stream("c"), queue())
    run.succeed("a", "b")
    assert at(run).merging == ("a",)
    assert run.merged() == ["convergence_merged final", "convergence_started final"]
    assert at(run).merging == ("a", "b")


def test_who_leaves_while_a_part_is_merged_is_not_waited_for() -> None:
    run = given(stream("a"), stream("b", optional=True), queue())
    run.succeed("a")
    run.fail("b")
    assert run.merged()[-1] == "convergence_started final"
    assert run.merged()[-1] == "run_converged"


def test_a_dependent_of_what_is_merged_starts_at_once() -> None:
    """From the work that it needs and nobody else's; others of its point are still at work."""
    run = given(meets("a"), meets("b"), meets("c"), meets("d", "a:converged"), queue("p"))
    run.succeed("a", "b")
    run.merged("p")
    run.merged("p")
    assert run.phase("d") == "preparing"
    start = inherited_by(run.state, StreamId("d"))
    assert (start.heir_of, start.from_point, start.then) == ("a", None, ())
    run.succeed("c")
    run.merged("p")
    run.merged()
    run.succeed("d")
    assert at(run, "p").merging == ("a", "b", "c", "d")


def test_a_dependent_takes_over_the_merge_that_holds_all_it_needs() -> None:
    run = given(
        meets("a"), meets("b"), meets("c"), meets("d", "a:converged", "b:converged"), queue("p")
    )
    run.run("a", "b")
    run.exited("a")
    run.exited("b")
    run.kept("a")
    run.kept("b")
    run.merged("p")
    run.merged("p")
    assert inherited_by(run.state, StreamId("d")).from_point == P
    assert inherited_by(run.state, StreamId("d")).then == ()


def test_a_conflict_leaves_only_the_late_stream_out_and_the_queue_goes_on() -> None:
    run = given(stream("a"), stream("b"), stream("c"), stream("d"), queue())
    run.succeed("a")
    run.merged()
    run.succeed("b")
    words = run.merged(without=("b",))
    assert words == [
        "conflict_found final",
        "convergence_left_out final",
        "convergence_merged final",
    ]
    run.succeed("c")
    run.merged()
    assert (at(run).merged, list(at(run).left_out)) == (("a", "c"), ["b"])
    run.succeed("d")
    assert at(run).merging == ("a", "c", "d"), "who conflicts comes after all the others"
    run.merged()
    assert at(run).merging == ("a", "b", "c", "d")
    assert run.merged(without=("b",))[-2:] == ["convergence_blocked final", "run_needs_operator"]
    assert len(at(run).conflicts) == 1


def test_what_was_built_on_a_stream_that_is_left_out_waits_with_it() -> None:
    run = given(stream("a"), stream("b"), stream("c", "b"), stream("d"), queue())
    run.succeed("a")
    run.merged()
    run.succeed("b")
    run.merged(without=("b",))
    run.succeed("c")
    assert set(at(run).left_out) == {"b", "c"}
    assert at(run).phase is PointPhase.OPEN


@pytest.mark.parametrize(
    ("policy", "phase"), [("quarantine", "quarantined"), ("stop", "succeeded")]
)
def test_a_policy_that_asks_nobody_applies_at_once(policy: str, phase: str) -> None:
    run = given(stream("a"), stream("b"), stream("c"), queue(on_conflict=policy))
    run.succeed("a")
    run.merged()
    run.succeed("b")
    run.merged(without=("b",))
    assert run.phase("b") == phase
    expected = PointPhase.OPEN if policy == "quarantine" else PointPhase.ABANDONED
    assert at(run).phase is expected


def test_the_point_where_somebody_waited_longest_merges_first() -> None:
    run = given(meets("a"), stream("b", converge=PointId("q")), meets("c"), queue("p"), point("q"))
    run.succeed("a")
    run.clock.advance_to(1.0)
    run.succeed("b")
    run.clock.advance_to(2.0)
    run.run("c")
    run.exited("c")
    run.kept("c")
    assert run.merged("p") == ["convergence_merged p", "convergence_started q"]


def test_a_stream_meets_others_at_several_points() -> None:
    """It counts as converged when it has been merged at each of them."""
    both = stream("a", converge=P, also_at=(PointId("q"),))
    run = given(
        both,
        meets("b"),
        stream("c", converge=PointId("q")),
        stream("d", "a:converged"),
        point("p"),
        point("q"),
    )
    run.succeed("a", "b")
    run.merged("p")
    assert run.phase("d") == "waiting"
    run.succeed("c")
    run.merged("q")
    assert run.phase("d") == "preparing"


# --- the strategy by itself ----------------------------------------------------------------------


def view(arrived: dict[str, float], expected: int, **fields: Any) -> PointView:
    names = tuple(StreamId(name) for name in arrived)
    at_times = {StreamId(name): moment for name, moment in arrived.items()}
    fields = {"options": {}, "departed": {}, **fields}
    return PointView(point=P, expected=expected, arrived=names, arrived_at=at_times, **fields)


def test_the_queue_is_first_in_first_out() -> None:
    seen = view({"b": 2.0, "a": 1.0}, 3, options={"at_once": 1})
    decision = PROGRESSIVE.next_step(seen, 3.0)
    assert isinstance(decision, Converge)
    assert (decision.streams, decision.is_final) == (("a",), False)
    assert "oldest waited 2.0 s" in decision.reason


def test_priority_goes_first_until_waiting_outweighs_it() -> None:
    options = {"at_once": 1, "ageing_seconds": 10.0}
    seen = view({"a": 0.0, "b": 5.0}, 3, options=options, priorities={StreamId("b"): 2})
    early = PROGRESSIVE.next_step(seen, 6.0)
    assert isinstance(early, Converge)
    assert early.streams == ("b",)
    late = PROGRESSIVE.next_step(
        view({"a": 0.0, "b": 25.0}, 3, options=options, priorities={StreamId("b"): 2}),
        30.0,
    )
    assert isinstance(late, Converge)
    assert late.streams == ("a",)


def test_the_last_merge_takes_in_again_who_was_left_out() -> None:
    left_out = view({"a": 0.0, "b": 1.0}, 3, merged=(StreamId("a"),), left_out=(StreamId("b"),))
    assert isinstance(PROGRESSIVE.next_step(left_out, 2.0), WaitForMore)
    decision = PROGRESSIVE.next_step(
        view({"a": 0.0, "b": 1.0}, 2, merged=(StreamId("a"),), left_out=(StreamId("b"),)), 2.0
    )
    assert isinstance(decision, Converge)
    assert (set(decision.streams), decision.is_final) == ({"a", "b"}, True)


def test_a_strategy_may_ask_to_be_asked_again_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of three are enough after ten seconds."""

    class Patient:
        name = "progressive"

        def next_step(self, seen: PointView, now: float) -> Converge | WaitForMore:
            if now >= 10.0 and len(seen.arrived) >= 2:
                return Converge(tuple(seen.arrived), "enough")
            return WaitForMore("two of three, or more", look_again_at=10.0)

    monkeypatch.setitem(STRATEGIES.convergence, "progressive", Patient())
    run = given(meets("a"), meets("b"), meets("c"), queue("p"))
    run.succeed("a", "b")
    wakes = [e for e in run.all_effects if isinstance(e, fx.WakeAt)]
    assert [(e.at, e.subject) for e in wakes] == [(10.0, "point p")]
    assert run.at(10.0) == ["convergence_started p"]
    assert at(run, "p").is_last_merge


def test_the_last_point_stays_open_for_those_who_may_still_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A strategy that closes it early would forget them; it is asked again instead."""

    class Hasty:
        name = "progressive"

        def next_step(self, seen: PointView, now: float) -> Converge | WaitForMore:
            return Converge(tuple(seen.arrived), "done") if seen.arrived else WaitForMore("nobody")

    monkeypatch.setitem(STRATEGIES.convergence, "progressive", Hasty())
    run = given(stream("a"), stream("b"), queue())
    run.succeed("a")
    run.merged()
    assert at(run).phase is PointPhase.OPEN
    run.succeed("b")
    assert run.merged()[-1] == "run_converged"
    assert at(run).merged == ("a", "b")
