"""A run ends well only with proof: every result is merged, or named with why it is not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given as for_all
from hypothesis import strategies as st
from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.points.endings import left_out, why_not_converged
from anabranch.core.effects import WakeAt
from anabranch.core.ids import FINAL_POINT, PointId, StreamId
from anabranch.core.model.approval import Approval
from anabranch.core.model.state import Point, PointPhase
from anabranch.core.strategies import (
    Abandon,
    Checkpoint,
    Converge,
    PointDecision,
    PointView,
    WaitForMore,
)
from anabranch.core.views.projections import status
from anabranch.engine.guarded_strategies import Guard, guarded
from anabranch.testing import ByHand, plan_of, point, stream
from anabranch.testing.trying import strategies_with
from anabranch_console.cli.hosting import exit_code
from tests.core.given import given
from tests.core.given import given as started_run

P = PointId("p")
Answer = Callable[[PointView, float], PointDecision]


class Says:
    """A convergence type that answers as it is told to."""

    name = "says"

    def __init__(self, answer: Answer) -> None:
        self._answer = answer

    def next_step(self, view: PointView, now: float) -> PointDecision:
        return self._answer(view, now)


def waits_then(answer: Answer) -> Answer:
    return lambda view, now: WaitForMore("more") if view.outstanding else answer(view, now)


def a_part_then(answer: Answer) -> Answer:
    """Merge the first to come as a part, and go on with another answer."""

    def decide(view: PointView, now: float) -> PointDecision:
        if view.arrived and not view.merged:
            return Converge((view.arrived[0],), "a part", is_final=False)
        return answer(view, now)

    return decide


ANSWERS: dict[str, Answer] = {
    "gives up at once": lambda view, now: Abandon("no"),
    "gives up in the end": waits_then(lambda view, now: Abandon("no")),
    "gives up after a part": a_part_then(lambda view, now: Abandon("no")),
    "waits for ever": lambda view, now: WaitForMore("more"),
    "waits for ever after a part": a_part_then(lambda view, now: WaitForMore("more")),
    "takes checkpoints for ever": lambda view, now: Checkpoint(tuple(view.arrived), "one more"),
    "merges the same part for ever": a_part_then(
        lambda view, now: Converge(tuple(view.merged), "again", is_final=False)
    ),
    "merges less than before": a_part_then(
        waits_then(lambda view, now: Converge(tuple(view.arrived[1:]), "not", is_final=False))
    ),
    "merges strangers": lambda view, now: Converge((StreamId("ghost"),), "boo"),
    "merges nobody": lambda view, now: Converge((), "nobody"),
    "merges one twice": waits_then(
        lambda view, now: Converge((view.arrived[0],) * 2, "twice") if view.arrived else Abandon("")
    ),
    "chooses one": waits_then(
        lambda view, now: Converge((view.arrived[0],), "best") if view.arrived else Abandon("none")
    ),
    "chooses the first to come": lambda view, now: (
        Converge((view.arrived[0],), "first") if view.arrived else WaitForMore("nobody yet")
    ),
    "looks again all the time": lambda view, now: (
        WaitForMore("soon", now + 1e-6) if view.outstanding else Abandon("done")
    ),
}


def run_with(answer: Answer, *members: Any, behind_guard: bool) -> ByHand:
    strategies = strategies_with(Says(answer))
    plan = plan_of(*members, keep_going=True, max_parallel=8)
    return ByHand(plan, guarded(strategies, Guard()) if behind_guard else strategies)


def to_the_end(run: ByHand, order: tuple[str, ...], fails: frozenset[str]) -> None:
    """Bring every stream to its end in some order, and let every merge be done at once."""
    for name in order:
        (run.fail if name in fails else run.succeed)(name)
        for _ in range(20):
            merging = [p.id for p in run.state.points.values() if p.phase is PointPhase.MERGING]
            if not merging:
                break
            run.merged(merging[0])


def is_accounted_for(run: ByHand) -> bool:
    """Whether a converged run's final point names everybody who brought a result."""
    final = run.state.points[FINAL_POINT]
    brought = {s.id for s in run.state.streams.values() if s.phase == "succeeded"}
    out = left_out(run.state, final)
    return brought == set(final.merged) | set(out) and all(out.values())


@for_all(
    answer=st.sampled_from(sorted(ANSWERS)),
    order=st.permutations(("a", "b", "c")),
    fails=st.frozensets(st.sampled_from("abc")),
    has_point=st.booleans(),
    behind_guard=st.booleans(),
)
def test_no_convergence_type_can_end_a_run_well_without_every_result(
    answer: str, order: list[str], fails: frozenset[str], has_point: bool, behind_guard: bool
) -> None:
    """Whatever it answers, in whatever order streams end: merged, or named with a reason."""
    members = [stream(n, converge=P if has_point else FINAL_POINT, optional=True) for n in "abc"]
    points = [point("final", type="says"), *([point("p", type="says")] if has_point else [])]
    run = run_with(ANSWERS[answer], *members, *points, behind_guard=behind_guard)
    to_the_end(run, tuple(order), fails)
    assert run.state.phase == "converged"
    assert is_accounted_for(run)
    assert why_not_converged(run.state) is None


@pytest.mark.parametrize("name", ["gives up in the end", "gives up after a part", "waits for ever"])
def test_the_cores_own_merges_everybody_where_a_type_would_lose_them(name: str) -> None:
    run = run_with(
        ANSWERS[name], stream("a"), stream("b"), point("final", type="says"), behind_guard=True
    )
    to_the_end(run, ("a", "b"), frozenset())
    assert set(run.state.points[FINAL_POINT].merged) == {"a", "b"}
    assert run.state.reason == "2 of 2 results merged"


def test_who_was_not_chosen_is_named_with_the_strategys_reason() -> None:
    run = run_with(
        ANSWERS["chooses one"],
        *(stream("a"), stream("b"), point("final", type="says")),
        behind_guard=True,
    )
    to_the_end(run, ("a", "b"), frozenset())
    found = status(run.state, False, None)
    reason = "says did not choose it: best"
    assert found["convergence"][-1]["left_out"] == [{"stream": "b", "reason": reason}]
    assert found["reason"] == "1 of 2 results merged; left out: b"


def test_who_comes_when_a_point_has_merged_is_named_there_and_merged_at_the_end() -> None:
    run = run_with(
        ANSWERS["chooses the first to come"],
        *(stream("a", converge=P), stream("b", converge=P), point("p", type="says")),
        behind_guard=True,
    )
    to_the_end(run, ("a", "b"), frozenset())
    out = left_out(run.state, run.state.points[P])
    assert out == {"b": "it came when p had merged already"}
    assert run.state.points[FINAL_POINT].merged == ("a", "b")


def test_the_quarantined_stand_among_those_left_out() -> None:
    run = given(stream("a"), stream("b"), point("final", on_conflict="quarantine"))
    run.succeed("a", "b")
    run.merged(without=("b",))
    assert list(left_out(run.state, run.state.points[FINAL_POINT])) == ["b"]


def settled(run: ByHand, **facts: Any) -> str | None:
    """Return what speaks against a run whose final point is in another state than it came to."""
    state = run.state
    final: Point = replace(state.points[FINAL_POINT], **facts)
    return why_not_converged(replace(state, points=state.points.insert(FINAL_POINT, final)))


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"phase": PointPhase.ABANDONED, "reason": "no"}, "final is abandoned and does not hold 2"),
        ({"phase": PointPhase.OPEN}, "final is open and does not hold 2 results"),
        ({"merged": (StreamId("a"),)}, "the result of b is not in the merge, and nothing says why"),
        ({"tree": "another"}, "verify never passed on what final has merged"),
    ],
)
def test_nothing_that_is_not_proved_counts_as_converged(facts: Any, words: str) -> None:
    run = given(stream("a"), stream("b"), point("final", verify="make test"))
    run.succeed("a", "b")
    run.merged()
    verified(run)
    run.merged()
    assert run.state.phase == "converged"
    assert words in str(settled(run, **facts))


def verified(run: ByHand) -> None:
    from anabranch.core import inputs

    final = run.state.points[FINAL_POINT]
    run.give(
        inputs.VerifyFinished(
            point=FINAL_POINT,
            streams=final.probe,
            tree="t-m",
            passed=True,
            exit_code=0,
            reason="exit 0",
            cause=final.probe_cause,
        )
    )


def test_streams_in_the_users_folder_do_not_pass_a_check_that_never_ran() -> None:
    run = given(stream("a", workspace="shared"), point("final", verify="false"))
    run.run("a")
    run.exited("a")
    run.kept("a", commit="")
    assert run.state.points[FINAL_POINT].phase is PointPhase.MERGING


def test_a_stream_whose_work_was_not_kept_has_not_succeeded() -> None:
    run = given(stream("a"))
    run.run("a")
    run.exited("a")
    run.kept("a", commit="")
    assert run.phase("a") == "failed"
    assert "nothing of its work could be kept" in run.stream("a").reason


@pytest.mark.parametrize(
    ("approval", "code"),
    [
        (Approval(), 0),
        (Approval(is_requested=True, is_done=True, message="main has it"), 0),
        (Approval(is_requested=True), 5),
        (Approval(message="the branch has moved"), 5),
        (Approval(message="x", hint="y"), 5),
        (Approval(message="x", hint="y", kind="sensitive"), 4),
    ],
)
def test_a_result_that_was_wanted_and_did_not_arrive_is_no_success(
    approval: Approval, code: int
) -> None:
    run = given(stream("a"))
    run.succeed("a")
    run.merged()
    assert exit_code(replace(run.state, approval=approval)) == code


# --- asking again ------------------------------------------------------------------------------


def test_a_type_that_looks_again_all_the_time_makes_no_events_and_few_timers() -> None:
    """The clock alone changes nothing that would have to be told."""
    run = run_with(
        lambda view, now: (
            WaitForMore(f"at {now}", now + 0.0005)
            if view.outstanding
            else Converge(tuple(view.arrived), "all")
        ),
        *(stream("a"), point("final", type="says")),
        behind_guard=True,
    )
    run.run("a")
    asked, begun = 0, run.clock()
    while run.clock() < begun + 9.0:
        wake = min((e for e in run.all_effects if isinstance(e, WakeAt)), key=lambda e: -e.at)
        run.at(max(wake.at, run.clock()))
        asked += 1
    assert asked <= 91
    waits = [r for r in run.records if isinstance(r.event, ev.ConvergenceWaits)]
    assert len(waits) == 1
    run.exited("a")
    assert run.kept("a")[-1] == "convergence_started final"


@pytest.mark.parametrize(("ahead", "is_asked"), [(-1.0, False), (0.0, False), (1.0, True)])
def test_a_time_that_is_not_to_come_waits_for_something_to_happen(
    ahead: float, is_asked: bool
) -> None:
    """A strategy that names the present moment again and again is not asked for ever."""
    run = run_with(
        lambda view, now: WaitForMore("not yet", now + ahead),
        *(stream("a"), point("final", type="says")),
        behind_guard=True,
    )
    run.run("a")
    again = run.state.points[FINAL_POINT].looks_again_at
    assert again == (run.clock() + ahead if is_asked else None)


@pytest.mark.parametrize(("reason", "times"), [("{:g}", 3), ("the same", 1)])
def test_only_what_is_news_is_told_when_the_clock_alone_asks(reason: str, times: int) -> None:
    """And that not more often than every ten seconds."""
    run = run_with(
        lambda view, now: WaitForMore(reason.format(now), now + 4.0),
        *(stream("a"), point("final", type="says")),
        behind_guard=True,
    )
    run.run("a")
    for moment in range(4, 29, 4):
        run.at(float(moment))
    waits = [r.event for r in run.records if isinstance(r.event, ev.ConvergenceWaits)]
    assert len(waits) == times


def test_a_time_that_is_named_is_kept_even_if_a_sooner_one_was_named_before() -> None:
    """Ten seconds later it converges, whatever it said in between."""
    run = run_with(
        lambda view, now: (
            Converge(tuple(view.arrived), "time is up")
            if view.arrived and now >= 10.0
            else WaitForMore("not yet", now + 1.0 if now < 9.5 else 10.0)
        ),
        *(stream("a", converge=P), stream("b", converge=P), point("p", type="says")),
        behind_guard=True,
    )
    run.succeed("a")
    while run.clock() < 10.0:
        wake = max(
            e.at for e in run.all_effects if isinstance(e, WakeAt) and "point p" in e.subject
        )
        run.at(wake)
    assert run.state.points[P].phase is PointPhase.MERGING
    assert run.clock() == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("ends", "state", "proof"),
    [
        (
            "stopped",
            "stopped",
            "1 stopped, 1 succeeded; a: attempt 1, exit 143, kept refs/a.1; final is abandoned",
        ),
        ("failed", "failed", "1 failed, 1 succeeded; a: attempt 1, exit 1, kept refs/a.1"),
        ("conflict", "needs_operator", "2 succeeded; final is blocked"),
    ],
)
def test_every_end_that_is_not_a_good_one_names_what_proves_it(
    ends: str, state: str, proof: str
) -> None:
    """How each stream ended, by its exit code, and which ref keeps its work."""
    run = started_run(stream("a"), stream("b"), max_parallel=2, keep_going=True)
    run.run("a", "b")
    run.exited("b")
    run.kept("b")
    if ends == "stopped":
        run.give(inputs.StopRun(reason="by you"))
        run.exited("a", None, signal=15)
    else:
        run.exited("a", 1 if ends == "failed" else 0)
    run.kept("a")
    if ends == "conflict":
        run.merge_failed()
    elif ends == "failed":
        run.merged()
    assert run.state.phase.value == state
    assert run.state.proof == f"no process runs any more; {proof}"
    assert status(run.state, False, None)["proof"] == run.state.proof


@pytest.mark.parametrize(("size", "more"), [(3, []), (5, ["2 more"])])
def test_of_many_that_did_not_succeed_the_first_are_named(size: int, more: list[str]) -> None:
    names = [f"s{n}" for n in range(size)]
    run = started_run(*map(stream, names), max_parallel=size, keep_going=True)
    run.fail(*names)
    named = [f"{name}: attempt 1, exit 1, kept refs/{name}.1" for name in names[:3]]
    found = ["no process runs any more", f"{size} failed", *named, *more, "final is abandoned"]
    assert run.state.proof == "; ".join(found)


def test_a_run_that_waits_for_a_person_can_be_stopped() -> None:
    """What was made stays; resumed, it waits for the same decision again."""
    run = given(stream("a"), stream("b"))
    run.succeed("a", "b")
    run.merged(without=("b",))
    assert run.state.phase == "needs_operator"
    run.stop()
    assert run.state.phase == "stopped"
    assert run.state.streams[StreamId("a")].result is not None
