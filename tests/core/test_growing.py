"""Runs that grow: streams that are added, worded anew, and an open run's end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.folds.inheritance import held_by, inherited_by
from anabranch.core.folds.resolutions import open_conflicts
from anabranch.core.ids import FINAL_POINT, StreamId
from anabranch.core.model.state import PointPhase
from anabranch.core.plans.cycles import find_cycles
from anabranch.core.plans.extending import extended, reworded, why_not_extended, why_not_reworded
from anabranch.core.plans.plan import Plan, StreamPlan
from anabranch.core.views.projections import run_state
from anabranch.core.views.rest import run_in_words
from anabranch.plugins import load_plugins
from anabranch.testing import ByHand, plan_of, stream

STRATEGIES = load_plugins().strategies


def begun(*members: StreamPlan, **fields: Any) -> ByHand:
    return ByHand(plan_of(*members, **fields), STRATEGIES)


def opened(*members: StreamPlan) -> ByHand:
    run = begun(*members, is_open=True)
    plan = replace(run.state.point_plan(run.state.plan.points[-1].id), type="progressive")
    return ByHand(replace(run.state.plan, points=(replace(plan, merges_early=True),)), STRATEGIES)


def add(run: ByHand, new: StreamPlan) -> None:
    run.give(inputs.AddStream(stream=new))
    assert run.refusal is None


def phase(run: ByHand) -> str:
    return run.state.phase.value


def refused(run: ByHand, command: inputs.Command) -> str:
    """Why it is, in words; nothing has changed then."""
    before = run.state
    run.give(command)
    assert run.refusal is not None
    assert run.state == before
    return run.refusal.reason


def test_what_is_added_runs_and_is_merged_like_all_others() -> None:
    run = begun(stream("a"))
    run.run("a")
    add(run, stream("b", "a"))
    assert run.phases()["b"] == "waiting"
    run.succeed("a")
    run.succeed("b")
    run.merged()
    assert phase(run) == "converged"
    assert run.state.points[run.state.plan.points[-1].id].merged == ("a", "b")


def test_what_is_added_to_an_open_run_begins_with_what_has_merged() -> None:
    """Not with what runs, nor with what has failed; in any other run only with its dependencies."""
    for run, begins_with in (
        (opened(stream("a"), stream("b"), stream("bad")), ["a"]),
        (begun(stream("a"), stream("b")), []),
    ):
        run.succeed("a")
        if begins_with:
            run.fail("bad")
            run.merged()
        add(run, stream("late"))
        found = held_by(run.state, inherited_by(run.state, StreamId("late")))
        assert [name for name, _ in found] == begins_with


def test_a_run_that_is_over_goes_on_with_what_is_added() -> None:
    run = begun(stream("a"))
    run.succeed("a")
    run.merged()
    assert phase(run) == "converged"
    add(run, stream("b"))
    assert phase(run) == "running"
    run.succeed("b")
    run.merged()
    assert phase(run) == "converged"


def test_an_open_run_merges_who_is_done_and_ends_when_a_person_says_so() -> None:
    run = opened()
    assert phase(run) == "running"
    add(run, stream("a"))
    run.succeed("a")
    run.merged()
    assert phase(run) == "running"
    final = run.state.points[run.state.plan.points[-1].id]
    assert (final.phase, final.merged) == (PointPhase.OPEN, ("a",))
    run.give(inputs.CloseRun())
    run.merged()
    assert phase(run) == "converged"


def test_a_conflict_in_an_open_run_waits_for_a_decision_at_once_and_is_told_once() -> None:
    """Its last merge may be a day away; decided, both are merged and the run stays open."""
    run = opened(stream("a"), stream("b"))
    run.succeed("a")
    run.merged()
    run.succeed("b")
    conflict = ev.Conflict(
        streams=(StreamId("a"), StreamId("b")),
        paths=(ev.ConflictedPath(path="f", kind="contents", ours="1", theirs="2"),),
    )
    found = inputs.MergeFinished(
        point=FINAL_POINT,
        commit="m",
        tree="t",
        branch=None,
        merged=(StreamId("a"),),
        conflicts=(conflict,),
        cause=run.state.points[FINAL_POINT].cause,
    )
    run.give(found)
    assert open_conflicts(run.state) == [(FINAL_POINT, conflict)]
    run.give(inputs.CloseRun())  # the last merge tries again, and finds it again
    assert run.state.points[FINAL_POINT].conflicts == ()
    run.give(replace(found, cause=run.state.points[FINAL_POINT].cause))
    assert [c for _, c in open_conflicts(run.state)] == [conflict]
    decided = ev.Resolution.of(conflict.paths[0], "ours", "1")
    run.give(inputs.ResolveConflict(resolutions=(decided,)))
    run.merged()
    assert phase(run) == "converged"


def test_an_open_run_with_nothing_in_it_can_be_closed_and_stopped() -> None:
    for command in (inputs.CloseRun(), inputs.StopRun(reason="stopped by you")):
        run = opened()
        run.give(command)
        assert run.state.has_ended


def test_a_failure_does_not_end_an_open_run() -> None:
    run = opened(stream("a"))
    run.fail("a")
    assert phase(run) == "running"


def test_who_is_worded_anew_is_tried_again_with_the_new_words() -> None:
    run = begun(stream("a"), stream("b"))
    run.run("b")
    run.fail("a")
    new = replace(run.state.stream_plan(StreamId("a")), command=("better",), command_text="better")
    run.give(inputs.RewordStream(stream=new))
    assert run.phases()["a"] != "failed"
    assert run.state.stream_plan(StreamId("a")).command_text == "better"


@pytest.mark.parametrize(
    ("new", "why"),
    [
        (stream("a"), "there is a stream 'a' in this run already"),
        (stream("A"), "there is a stream 'a' in this run already"),
        (stream("x", "nobody"), "there is no stream 'nobody' to wait for"),
        (stream("x", "x"), "there is no stream 'x' to wait for"),
        (stream("x", converge="nowhere"), "there is no convergence point 'nowhere'"),
        (stream("operator"), "'operator' cannot name a stream"),
        (stream("../x"), "'../x' cannot name a stream"),
    ],
)
def test_what_cannot_be_added_is_refused_with_its_reason(new: StreamPlan, why: str) -> None:
    run = begun(stream("a"))
    assert why in refused(run, inputs.AddStream(stream=new))


def test_nothing_is_added_to_a_run_that_stops_or_merges_for_the_last_time() -> None:
    run = begun(stream("a"), stream("b"))
    run.succeed("a", "b")
    assert "being merged" in refused(run, inputs.AddStream(stream=stream("c")))
    stopping = begun(stream("a"))
    stopping.run("a")
    stopping.stop()
    assert "stopping" in refused(stopping, inputs.AddStream(stream=stream("c")))


def test_nobody_is_made_to_wait_for_itself() -> None:
    run = begun(stream("a"), stream("b", "a"))
    run.fail("a")
    behind = replace(run.state.stream_plan(StreamId("a")), depends_on=stream("x", "b").depends_on)
    told = refused(run, inputs.RewordStream(stream=behind))
    assert told == "a would wait for itself: a waits for b waits for a"


def test_only_an_open_run_is_closed() -> None:
    assert "not open" in refused(begun(stream("a")), inputs.CloseRun())


NAMES = st.sampled_from(["a", "b", "c", "d", "e"])


@given(st.lists(st.tuples(NAMES, st.lists(NAMES, max_size=3, unique=True)), max_size=12))
def test_however_a_plan_grows_it_has_no_ring_and_each_name_once(
    steps: list[tuple[str, list[str]]],
) -> None:
    plan: Plan = plan_of()
    for name, after in steps:
        new = stream(name, *after)
        if any(s.id == name for s in plan.streams):
            plan = plan if why_not_reworded(plan, new) else reworded(plan, new)
        else:
            plan = plan if why_not_extended(plan, new) else extended(plan, new)
    names = [s.id for s in plan.streams]
    assert len(names) == len(set(names))
    assert tuple(names) == plan.points[-1].streams
    assert not list(find_cycles({s.id: [d.stream for d in s.depends_on] for s in plan.streams}))


def test_an_open_run_that_nobody_hosts_is_open_in_words_once_it_only_waits_for_more() -> None:
    """Not interrupted, which one with something at work is."""
    run = opened()
    add(run, stream("a"))
    assert run_in_words(run.state, is_hosted=False) == "interrupted"
    run.succeed("a")
    run.merged()
    assert run_in_words(run.state, is_hosted=False) == "open"
    assert run_state(run.state, is_hosted=False) == "interrupted"  # the contract's word
