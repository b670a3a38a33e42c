"""Fusion: who goes on in whose workspace, and who has one of his own."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.plans.plan import Plan, StreamPlan
from anabranch.core.views.fusion import Member, fused_groups
from anabranch.plugins import load_plugins
from anabranch.testing import ByHand, plan_of, stream
from anabranch.testing.by_hand import conflict_of

STRATEGIES = load_plugins().strategies
SHORT: dict[str, Any] = {"estimate_seconds": 0.5, "estimate_basis": "learned"}
OWN_SECONDS = 0.2


def short(name: str, *after: str, **fields: Any) -> StreamPlan:
    return stream(name, *after, **(SHORT | fields))


def fusing(*members: StreamPlan, **fields: Any) -> Plan:
    return replace(plan_of(*members, **({"max_parallel": 1} | fields)), fuses=True)


def begun(plan: Plan) -> ByHand:
    return ByHand(plan, STRATEGIES)


def ends(run: ByHand, name: str, **kept: Any) -> None:
    """Has a stream that is admitted get a workspace of its own, run and succeed."""
    run.clock.advance(OWN_SECONDS)
    run.ready(name)
    run.started(name)
    run.exited(name)
    run.kept(name, **kept)


def admissions(run: ByHand) -> dict[str, str]:
    """Whose workspace each stream that was admitted is to take over, by stream."""
    events = [r.event for r in run.records if isinstance(r.event, ev.StreamAdmitted)]
    return {e.stream: e.takes_over for e in events}


def after_first(plan: Plan, **kept: Any) -> dict[str, str]:
    run = begun(plan)
    ends(run, "a", **kept)
    return admissions(run)


def test_a_short_stream_goes_on_where_the_one_before_has_left_off() -> None:
    run = begun(fusing(short("a"), short("b", "a"), short("c", "b")))
    ends(run, "a")
    assert admissions(run) == {"a": "", "b": "a"}
    (told,) = [r.event for r in run.records if getattr(r.event, "takes_over", "") == "a"]
    assert isinstance(told, ev.StreamAdmitted)
    assert told.placed_because == "goes on after a: it takes about 0.5 s, a workspace 0.20 s"


def test_it_goes_on_before_others_that_are_ready() -> None:
    """They are more urgent, but it is short, and its workspace would be somebody else's."""
    plan = fusing(short("a", priority=9), short("b", "a"), stream("other", estimate_seconds=90.0))
    assert after_first(plan) == {"a": "", "b": "a"}


def test_streams_that_start_alike_take_turns_in_one_workspace() -> None:
    plan = fusing(short("a"), short("b"), short("c"))
    assert after_first(plan) == {"a": "", "b": "a"}


def test_its_resources_are_its_own_and_the_most_at_a_time_counts() -> None:
    needs = {"resources": {"tokens": 3.0}}
    plan = fusing(short("a", **needs), short("b", "a", **needs), resources={"tokens": 3.0})
    assert after_first(plan) == {"a": "", "b": "a"}
    plan = fusing(
        short("a"),
        short("b", "a", **needs),
        stream("holds", **needs, priority=99),
        resources={"tokens": 3.0},
        max_parallel=2,
    )
    assert "b" not in after_first(plan)


APART: dict[str, Plan] = {
    "it is not switched on": plan_of(short("a"), short("b", "a"), max_parallel=1),
    "it is not known how long it takes": fusing(short("a"), stream("b", "a")),
    "it takes long": fusing(short("a"), short("b", "a", estimate_seconds=3.0)),
    "it needs another one, too": fusing(short("a"), stream("z"), short("b", "a", "z")),
    "it does not need the work": fusing(short("a"), short("b", "a:completed")),
    "it has a clone": fusing(short("a"), short("b", "a", workspace="clone")),
    "the one before had a clone": fusing(short("a", workspace="clone"), short("b", "a")),
    "it works in the user's folder": fusing(short("a"), short("b", "a", workspace="shared")),
}


@pytest.mark.parametrize("plan", APART.values(), ids=APART)
def test_it_has_a_workspace_of_its_own_if(plan: Plan) -> None:
    assert set(after_first(plan).values()) == {""}


@pytest.mark.parametrize(
    "kept", [{"ignored": ("build/",)}, {"start_tree": "other"}], ids=["ignored", "mixed"]
)
def test_what_a_result_does_not_hold_is_handed_to_nobody(kept: dict[str, Any]) -> None:
    assert after_first(fusing(short("a"), short("b", "a")), **kept)["b"] == ""


def test_a_process_that_it_had_left_behind_keeps_the_workspace_to_itself() -> None:
    run = begun(fusing(short("a"), short("b", "a")))
    run.clock.advance(OWN_SECONDS)
    run.ready("a")
    run.started("a")
    run.exited("a", survivors_ended=1)
    run.kept("a")
    assert admissions(run)["b"] == ""


def test_what_needs_two_has_a_workspace_of_its_own_also_when_both_are_done() -> None:
    run = begun(fusing(stream("z", priority=9), stream("a"), short("b", "a", "z")))
    ends(run, "z")
    ends(run, "a")
    assert admissions(run) == {"z": "", "a": "", "b": ""}


def test_who_is_tried_again_takes_over_nothing() -> None:
    """Not even what one that began alike has left in a slot that is free."""
    run = begun(fusing(short("a"), short("b", max_retries=1), max_parallel=2))
    ends(run, "a")
    run.run("b")
    run.exited("b", 1)
    run.kept("b")
    run.clock.advance(600.0)
    run.give(inputs.TimeReached(cause=1))
    again = [r.event for r in run.records if isinstance(r.event, ev.StreamAdmitted)][-1]
    assert (again.stream, again.attempt, again.slot, again.takes_over) == ("b", 2, 1, "")


def test_a_conflict_that_is_foreseen_keeps_the_workspace_for_whoever_settles_it() -> None:
    run = begun(fusing(short("a"), short("b", "a"), stream("other"), max_parallel=2))
    for name in ("a", "other"):
        run.clock.advance(OWN_SECONDS)
        run.ready(name)
        run.started(name)
    path = conflict_of("a", "other").paths[0]
    pair = (StreamId("a"), StreamId("other"))
    run.give(inputs.PairTested(streams=pair, attempts=(1, 1), paths=(path,), cause=1))
    assert run.state.foreseen
    run.exited("a")
    run.kept("a")
    assert admissions(run)["b"] == ""


def test_the_first_failure_unfuses_and_what_is_done_stays_done() -> None:
    run = begun(fusing(short("a"), short("b", "a", max_retries=1), short("c", "b")))
    ends(run, "a")
    run.give(taken_over(run, "b", "a"))
    run.started("b")
    run.exited("b", 1)
    run.kept("b")
    run.clock.advance(600.0)
    run.give(inputs.TimeReached(cause=1))
    b = run.state.streams[StreamId("b")]
    assert (b.phase, b.attempt, b.goes_on_from) == (Phase.PREPARING, 2, "")
    ends(run, "b")
    assert admissions(run) == {"a": "", "b": "", "c": ""}
    assert run.state.streams[StreamId("a")].phase is Phase.SUCCEEDED
    assert run.state.streams[StreamId("a")].attempt == 1


def taken_over(run: ByHand, stream_id: str, left: str) -> inputs.WorkspaceReady:
    return inputs.WorkspaceReady(
        path=f"/w/{stream_id}",
        start_commit="c",
        start_tree="t",
        stream=StreamId(stream_id),
        attempt=1,
        cause=None,
        taken_from=StreamId(left),
    )


def test_a_workspace_that_was_taken_over_is_nobody_elses_any_more() -> None:
    run = begun(fusing(short("a"), short("b", "a")))
    ends(run, "a")
    run.give(taken_over(run, "b", "a"))
    assert run.state.streams[StreamId("a")].workspace is None
    assert run.state.streams[StreamId("b")].goes_on_from == "a"
    assert run.state.fusion.taken_over == 1


def test_how_far_each_lags_behind_what_came_of_it_is_told_and_whether_it_still_stands() -> None:
    run = begun(fusing(short("a"), short("b", "a"), short("c", "b")))
    ends(run, "a")
    for name, left in (("b", "a"), ("c", "b")):
        run.give(taken_over(run, name, left))
        run.started(name)
        if name == "b":
            run.exited(name)
            run.kept(name, files_changed=3)
    (group,) = fused_groups(run.state)
    assert group == (
        Member(StreamId("a"), False, 1, 3, True),
        Member(StreamId("b"), True, 0, 0, True),
        Member(StreamId("c"), True, 0, 0, True),
    )
    again = replace(run.stream("b"), result=run.stream("a").result)
    state = replace(run.state, streams=run.state.streams.insert(again.id, again))
    assert [member.stands for member in fused_groups(state)[0]] == [True, False, True]


def test_it_says_that_it_has_its_own_if_it_could_not_take_one_over() -> None:
    run = begun(fusing(short("a"), short("b", "a")))
    ends(run, "a")
    run.ready("b")
    assert run.state.streams[StreamId("b")].goes_on_from == ""
    assert run.state.streams[StreamId("a")].workspace is not None
    assert run.state.fusion.taken_over == 0


def test_it_takes_over_also_if_it_was_stopped_meanwhile() -> None:
    run = begun(fusing(short("a"), short("b", "a")))
    ends(run, "a")
    run.stop("b")
    run.give(taken_over(run, "b", "a"))
    assert run.state.streams[StreamId("a")].workspace is None
