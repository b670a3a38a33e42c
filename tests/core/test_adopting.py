"""A race: several attempts at one task, of which one is adopted, merged, and gone on from."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec import structs

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.owed import owed
from anabranch.core.folds.inheritance import inherited_by
from anabranch.core.ids import FINAL_POINT, PointId, StreamId
from anabranch.core.model.snapshots import decode_state, encode_state
from anabranch.core.model.state import PointPhase, RunPhase
from anabranch.core.plans.plan import Dependency, PointPlan, StreamPlan
from anabranch.core.strategies import (
    AskForOne,
    Converge,
    PointDecision,
    PointView,
    WaitForMore,
    fallbacks,
)
from anabranch.core.strategies.point_laws import fault_of
from anabranch.core.views.adoption import adoptable, racers_at, races, refusal_to_adopt
from anabranch.core.views.attention import attention_of, of_the_run
from anabranch.core.views.projections import point_status
from anabranch.testing import ByHand, point, stream
from tests.core.given import STRATEGIES, given

RACE = STRATEGIES.convergence["race"]
TRY = PointId("try")
NAMES = (StreamId("try.1"), StreamId("try.2"), StreamId("try.3"))


def attempts(count: int = 3) -> list[StreamPlan]:
    return [stream(name, converge=TRY, optional=True) for name in NAMES[:count]]


def race(**fields: Any) -> PointPlan:
    return point("try", type="race", adopts_one=True, **fields)


def behind(name: str, condition: str = "converged") -> StreamPlan:
    """A stream that goes on from whoever is adopted."""
    needs = Dependency(condition=condition, providers=NAMES, point=TRY)  # type: ignore[arg-type]
    return StreamPlan(StreamId(name), ("true",), "true", (needs,))


def raced(*more: StreamPlan, **fields: Any) -> ByHand:
    return given(*attempts(), *more, race(**fields), keep_going=True)


def adopt(run: ByHand, name: str) -> list[str]:
    return run.give(inputs.AdoptStream(stream=StreamId(name)))


def at(run: ByHand, name: str = "try") -> Any:
    return run.state.points[PointId(name)]


def verified(run: ByHand, passed: bool) -> list[str]:
    (effect,) = [e for e in owed(run.state) if isinstance(e, fx.RunVerify)]
    tree = "t-" + ",".join(effect.streams)
    return run.give(
        inputs.VerifyFinished(
            point=effect.point, streams=effect.streams, tree=tree, passed=passed,
            exit_code=int(not passed), reason=f"exit {int(not passed)}", cause=effect.cause,
        )
    )  # fmt: skip


def test_a_person_is_asked_when_all_have_ended_and_what_is_adopted_is_merged() -> None:
    run = raced(behind("after"))
    run.succeed("try.1", "try.2")
    assert at(run).phase is PointPhase.OPEN
    words = run.succeed("try.3")
    assert words[-2:] == ["adoption_asked try", "run_needs_operator"]
    assert run.state.phase is RunPhase.NEEDS_OPERATOR
    assert "anabranch adopt try.1 (or try.2, try.3)" in run.state.hint
    assert adopt(run, "try.2")[:7] == [
        *("run_reopened", "stream_adopted try.2"),
        *(f"stream_looked_at {name}" for name in NAMES),
        *("convergence_started try", "convergence_left_out try"),
    ]
    assert at(run).merging == ("try.2",)
    run.merged("try")
    assert [run.phase(name) for name in NAMES] == ["passed_over", "succeeded", "passed_over"]
    assert run.phase("after") == "preparing"
    assert inherited_by(run.state, StreamId("after")).heir_of in ("try.2", None)
    run.succeed("after")
    assert set(at(run, "final").merging) == {"try.2", "after"}
    assert run.merged()[-1] == "run_converged"
    left_out = point_status(run.state, at(run, "final"))["left_out"]
    assert left_out == [
        {"stream": name, "reason": "not adopted: try.2 is"} for name in ("try.1", "try.3")
    ]
    assert [s.public_state for s in run.state.streams.values()] == ["succeeded"] * 4


def test_what_is_not_adopted_comes_to_no_other_point_before_one_is() -> None:
    """Not even when the last point could merge it with everything else."""
    run = raced(stream("other"))
    run.succeed("other", *NAMES)
    assert at(run, "final").arrived == ("other",)
    assert at(run, "final").phase is PointPhase.OPEN
    adopt(run, "try.1")
    run.merged("try")
    assert set(at(run, "final").merging) == {"other", "try.1"}


def test_the_failure_of_one_attempt_is_no_failure_of_the_run() -> None:
    run = raced()
    run.fail("try.1")
    run.succeed("try.2", "try.3")
    assert at(run).adoption.asked == ("try.2", "try.3")
    assert adopt(run, "try.1") == []
    assert run.refusal is not None
    assert "has not succeeded" in run.refusal.reason
    adopt(run, "try.3")
    run.merged("try")
    assert run.merged()[-1] == "run_converged"


def test_a_race_whose_attempts_all_fail_fails_and_says_why_of_each() -> None:
    run = raced(behind("after"))
    run.fail("try.1")
    run.fail("try.2")
    words = run.fail("try.3")
    assert words[-1] == "run_failed"
    assert run.state.reason.startswith("nobody is adopted at try: try.1: exit 1; try.2: exit 1")
    assert run.phase("after") == "skipped"
    optional = given(*attempts(2), race(is_optional=True), stream("other"))
    optional.succeed("other")
    optional.fail("try.1")
    optional.fail("try.2")
    assert optional.merged()[-1] == "run_converged"


def test_each_attempt_is_checked_alone_and_only_who_passes_can_be_adopted() -> None:
    run = raced(verify="make test")
    assert run.succeed("try.1")[-1] == "verify_started try"
    run.succeed("try.2")  # it comes while the other is looked at, and is not forgotten
    assert verified(run, False)[-1] == "verify_started try"
    assert verified(run, True)[-1] == "verify_passed try"
    run.succeed("try.3")
    verified(run, True)
    assert at(run).adoption.asked == ("try.2", "try.3")
    assert adopt(run, "try.1") == []
    assert run.refusal is not None
    assert run.refusal.reason == "try.1 fails the check of try: exit 1"
    adopt(run, "try.3")
    run.give(
        inputs.MergeFinished(
            point=TRY, commit="c", tree="t-try.3", branch=None, merged=(StreamId("try.3"),),
            conflicts=(), cause=at(run).cause,
        )
    )  # fmt: skip
    assert at(run).phase is PointPhase.MERGED  # that very tree has passed already
    assert "fails the check: exit 1" in run.stream("try.1").reason


def test_a_merged_tree_that_was_not_checked_yet_is_checked_before_it_counts() -> None:
    run = raced(verify="make test")
    for name in NAMES:
        run.succeed(name)
        verified(run, True)
    adopt(run, "try.1")
    assert run.merged("try") == ["verify_started try"]
    while effects := [e for e in owed(run.state) if isinstance(e, fx.RunVerify)]:
        verified(run, "try.1" not in effects[0].streams)
    assert run.phase("try.1") == "quarantined"
    assert at(run).adoption.asked == ("try.2", "try.3")  # another can be adopted


def test_a_race_in_which_nobody_passes_the_check_fails() -> None:
    run = raced(verify="make test")
    for name in NAMES:
        run.succeed(name)
        words = verified(run, False)
    assert words[-1] == "run_failed"
    assert "nobody is adopted at try: try.1: exit 1" in run.state.reason
    assert run.phase("try.2") == "passed_over"


@pytest.mark.parametrize(("rule", "chosen"), [("first", "try.2"), ("smallest", "try.3")])
def test_a_rule_of_the_plans_adopts_without_asking(rule: str, chosen: str) -> None:
    run = raced(options={"adopt": rule})
    for name, files in (("try.2", 3), ("try.1", 2)):
        _ended_with(run, name, files)
    words = _ended_with(run, "try.3", 1)
    assert f"stream_adopted {chosen}" in words
    assert at(run).adoption.adopted == chosen
    adopted = next(r.event for r in run.records if isinstance(r.event, ev.StreamAdopted))
    assert (adopted.by, adopted.stream) == ("type", chosen)


def _ended_with(run: ByHand, name: str, files: int) -> list[str]:
    run.run(name)
    run.exited(name)
    return run.kept(name, files_changed=files)


def test_adopting_is_refused_with_the_reason_where_it_does_not_apply() -> None:
    run = raced(stream("other"))
    for name, reason, hint in (
        ("nobody", "there is no stream 'nobody'", "adopt one of try.1, try.2, try.3"),
        ("other", "other is in no race", "adopt one of"),
        ("try.1", "try does not ask for one to adopt yet", "still work; wait, or stop"),
    ):
        adopt(run, name)
        assert run.refusal is not None
        assert reason in run.refusal.reason
        assert hint in run.refusal.hint
    run.succeed("other", *NAMES)
    adopt(run, "try.1")
    assert adopt(run, "try.2") == []
    assert run.refusal is not None
    assert "try again in a moment" in run.refusal.hint
    run.merged("try")
    adopt(run, "try.2")
    assert run.refusal is not None
    assert run.refusal.reason == "try is decided: try.1 is adopted, and merged"
    assert run.refusal.hint == "to have it all the same: git merge refs/try.2.1"
    plain = given(stream("a"))
    adopt(plain, "a")
    assert plain.refusal is not None
    assert plain.refusal.reason == "this run has no race"


def test_a_run_that_is_resumed_without_a_choice_asks_once_more_and_forgets_none() -> None:
    run = raced(behind("after"))
    run.succeed(*NAMES)
    words = run.give(inputs.ResumeRun(reason="resumed", adopted=0, retry_failed=True))
    assert words[-2:] == ["adoption_asked try", "run_needs_operator"]
    adopt(run, "try.3")
    run.merged("try")
    run.fail("after")
    run.merged()
    assert run.state.phase in (RunPhase.FAILED, RunPhase.NEEDS_OPERATOR)
    run.give(inputs.ResumeRun(reason="resumed", adopted=0, retry_failed=True))
    assert at(run).merging == ("try.3",)  # who was chosen stays chosen
    run.merged("try")
    run.succeed("after")
    assert run.merged()[-1] == "run_converged"


def test_a_race_that_is_stopped_can_still_be_decided_when_it_goes_on() -> None:
    run = raced()
    run.succeed("try.1", "try.2")
    run.run("try.3")
    run.give(inputs.StopRun(reason="enough"))
    run.exited("try.3", 143)
    run.kept("try.3")
    assert run.state.phase is RunPhase.STOPPED
    assert run.phase("try.1") == "succeeded"
    run.give(inputs.ResumeRun(reason="resumed", adopted=0, retry_failed=True))
    run.succeed("try.3")
    assert at(run).adoption.asked == ("try.1", "try.2", "try.3")


def test_who_fails_the_check_with_the_others_leaves_its_run_without_one() -> None:
    """It is quarantined at the last point, and the run says that nobody is adopted any more."""
    run = given(*attempts(), race(), point("final", verify="make test"), keep_going=True)
    run.succeed(*NAMES)
    adopt(run, "try.1")
    run.merged("try")
    run.merged()
    while any(isinstance(e, fx.RunVerify) for e in owed(run.state)):
        (effect,) = [e for e in owed(run.state) if isinstance(e, fx.RunVerify)]
        verified(run, not effect.streams)
    assert run.state.phase is RunPhase.FAILED
    assert "nobody is adopted at try" in run.state.reason


def test_the_state_of_a_race_survives_a_snapshot() -> None:
    run = raced(verify="make test")
    run.succeed("try.1")
    verified(run, False)
    run.succeed("try.2")
    again = decode_state(encode_state(run.state))
    assert again.points[TRY] == at(run)
    assert again == run.state


@pytest.mark.parametrize("outstanding", [0, 1])
def test_the_type_waits_for_all_then_asks_then_takes_who_was_chosen(outstanding: int) -> None:
    names = NAMES
    seen = PointView(TRY, 3 + outstanding, names, {}, {}, adopts_one=True)
    decision = RACE.next_step(seen, 0.0)
    assert isinstance(decision, WaitForMore if outstanding else AskForOne)
    chosen = PointView(TRY, 3, names, {}, {}, adopts_one=True, adopted=names[1])
    assert RACE.next_step(chosen, 0.0) == Converge((names[1],), "try.2 was adopted")


def test_no_other_type_takes_the_place_of_one_that_adopts() -> None:
    run = raced(stream("other"))
    for kind, where in (("barrier", TRY), ("race", FINAL_POINT)):
        run.give(inputs.ChooseStrategy(kind="convergence", strategy=kind, point=where))
        assert run.refusal is not None
        assert "for something else" in run.refusal.reason


@pytest.mark.parametrize(
    ("decision", "fault"),
    [
        (Converge((NAMES[0], NAMES[1]), "all"), "merges others too"),
        (Converge((NAMES[0],), "part", is_final=False), "merges others too"),
        (Converge((NAMES[0],), "mine"), "a person has chosen 'try.2'"),
        (AskForOne((NAMES[0],), "who?"), "though a person has chosen"),
    ],
)
def test_no_type_adopts_more_than_one_or_another_than_was_chosen(
    decision: PointDecision, fault: str
) -> None:
    """Whatever a plugin answers; where it does, the engine asks a person itself."""
    failed = {NAMES[2]: "exit 1"}
    seen = PointView(TRY, 3, NAMES, {}, {}, adopts_one=True, adopted=NAMES[1], failed_check=failed)
    assert fault in fault_of(seen, decision)
    unasked = structs.replace(seen, adopted=None)
    assert "fails the check" in fault_of(unasked, Converge((NAMES[2],), "bad"))
    asked = fallbacks.CONVERGENCE.next_step(unasked, 0.0)
    assert asked == AskForOne((NAMES[0], NAMES[1]), "which one is adopted?")
    plain = structs.replace(unasked, adopts_one=False)
    assert "adopts nobody" in fault_of(plain, AskForOne((NAMES[0],), "who?"))


def test_a_run_grows_beside_a_race_and_behind_it_but_not_into_it() -> None:
    run = raced(stream("other"))
    for new, why in (
        (stream("late", converge=TRY), "try is a race, and its attempts are there already"),
        (stream("late", "try.1"), "another than try.1 may be adopted at try"),
    ):
        run.give(inputs.AddStream(stream=new))
        assert run.refusal is not None
        assert run.refusal.reason == why
    run.give(inputs.AddStream(stream=behind("late")))
    run.succeed("other", *NAMES)
    adopt(run, "try.2")
    run.merged("try")
    assert run.phase("late") == "preparing"
    run.succeed("late")
    assert set(at(run, "final").merging) == {"other", "try.2", "late"}


def test_one_of_those_who_can_be_adopted_asks_for_all() -> None:
    run = raced()
    run.succeed(*NAMES)
    found = {name: attention_of(run.state, name) for name in NAMES}
    assert [a.needs_you for a in found.values()] == [True, False, False]
    assert found[NAMES[0]].then == "anabranch race --compare try"
    assert found[NAMES[2]].then == "anabranch adopt try.3"
    assert dict(of_the_run(run.state))["try"].then == "anabranch race --compare try"


def test_adopting_is_taking_where_a_review_is_needed() -> None:
    """Nobody has to look at those that are not wanted; a rule of the plan's has to ask."""
    for rule in ("ask", "first"):
        final = point("final", review=True)
        run = given(*attempts(2), race(options={"adopt": rule}), final, keep_going=True)
        run.succeed("try.1", "try.2")
        assert "try.1" in at(run).adoption.asked
        commit = run.stream("try.1").result
        assert commit is not None
        run.give(inputs.TakeWork(stream=NAMES[0], commit=commit.commit))
        assert run.refusal is not None
        assert run.refusal.hint == "anabranch adopt try.1 takes it"
        adopt(run, "try.1")
        run.merged("try")
        assert run.merged()[-1] == "run_converged"


def test_work_of_a_race_can_be_handed_back_while_it_asks() -> None:
    final = point("final", review=True)
    run = given(*attempts(2), race(), final, keep_going=True)
    run.succeed("try.1", "try.2")
    result = run.stream("try.2").result
    assert result is not None
    run.give(inputs.HandBackWork(stream=NAMES[1], commit=result.commit, note="shorter"))
    assert run.refusal is None
    assert at(run).phase is PointPhase.OPEN
    run.succeed("try.2")
    assert at(run).adoption.asked == ("try.1", "try.2")


def test_racers_are_told_side_by_side() -> None:
    """How each stands, from its start to the adoption; nothing is said of what is not there."""
    run = raced()
    run.run("try.1", "try.2", "try.3")
    standing = [(r.standing, r.check, r.ref) for r in racers_at(run.state, TRY, 5.0)]
    assert standing == [("at work", None, "")] * 3
    run.exited("try.3", 1)
    run.kept("try.3")
    for name in ("try.1", "try.2"):
        run.exited(name)
        run.kept(name)
    assert (races(run.state), set(adoptable(run.state))) == ([TRY], {"try.1", "try.2"})
    refusal = refusal_to_adopt(run.state, StreamId("try.3"))
    assert refusal is not None
    adopt(run, "try.2")
    run.merged("try")
    one, two, three = racers_at(run.state, TRY, 9.0)
    assert (one.standing, two.standing, three.standing) == ("not adopted", "adopted", "failed")
    assert (two.exit_code, three.exit_code) == (0, 1)
    assert two.as_json["standing"] == "adopted"
    assert one.seconds is not None
