"""Speculation: a straggler gets a copy on an idle slot, and one of the two may commit, once."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from anabranch.core import calls, inputs
from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core.calls import Answer, Call, Caller
from anabranch.core.deciding.decide import decide
from anabranch.core.deciding.owed import owed
from anabranch.core.deciding.streams.copies import GRACE_SECONDS
from anabranch.core.deciding.waiting.wording import reason_for
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.outcome import Decision
from anabranch.core.model.snapshots import decode_state, encode_state
from anabranch.core.plans.plan import PointPlan, RatePlan, StreamPlan
from anabranch.core.plans.repeating import most_copies, why_never
from anabranch.core.views.copies import since_in_words, speculation, speculation_in_words
from anabranch.core.views.order import OrderCheck
from anabranch.core.views.projections import stream_status
from anabranch.core.views.samples import samples_of
from anabranch.core.views.spells import Spells
from anabranch.testing import ByHand, plan_of, point, stream
from anabranch.testing.memory_store import replay
from tests.core.given import STRATEGIES

A = StreamId("a")
P95 = 10.0


def repeatable(name: str, *after: str, **fields: Any) -> StreamPlan:
    """A stream that takes 5 s, and hardly ever more than 10."""
    facts = {"is_repeatable": True, "long_seconds": P95, "estimate_basis": "learned"}
    return stream(name, *after, estimate_seconds=5.0, **{**facts, **fields})


class Speculating(ByHand):
    """A run with speculation; every step is folded again, and goes through a snapshot."""

    def __init__(self, *members: StreamPlan | PointPlan, **fields: Any) -> None:
        fields = {"has_speculation": True, "max_parallel": 4, **fields}
        super().__init__(plan_of(*members, **fields), STRATEGIES)

    def give(self, given: inputs.Input) -> list[str]:
        words = super().give(given)
        assert replay(self.records) == self.state
        assert decode_state(encode_state(self.state)) == self.state
        return words

    def call(self, kind: type[Call], attempt: Attempt, **facts: Any) -> Answer:
        """Have an attempt of ``a`` ask for something."""
        asked = kind(Caller(A, attempt), f"q{len(self.records)}", **facts)
        outcome = decide(self.state, asked, self.clock(), STRATEGIES)
        assert isinstance(outcome, Decision)
        assert outcome.answer is not None
        self.give(asked)
        return outcome.answer

    def events(self, *kinds: type[ev.Event]) -> list[Any]:
        return [r.event for r in self.records if isinstance(r.event, kinds)]

    def attempts(self) -> tuple[Attempt, Attempt | None]:
        """Return the number of ``a``'s own attempt, and of the one beside it."""
        copy = self.state.copies.get(A)
        return self.stream("a").attempt, copy.run.attempt if copy else None


def straggling(*others: StreamPlan | PointPlan, **fields: Any) -> Speculating:
    """Return a run in which ``a`` has worked for longer than 19 of 20 times before."""
    run = Speculating(repeatable("a"), *others, **fields)
    run.run("a")
    run.at(P95 + 1.0)
    return run


def with_copy(*others: StreamPlan | PointPlan, **fields: Any) -> Speculating:
    """Return a run in which attempt 2 of ``a`` runs beside attempt 1."""
    run = straggling(*others, **fields)
    run.run("a@2")
    assert run.state.copies[A].run.phase == "running"
    return run


# --- when ----------------------------------------------------------------------------------------


def test_a_straggler_gets_a_copy_once_it_is_past_its_p95() -> None:
    run = Speculating(repeatable("a"))
    run.run("a")
    wakes = [e for e in owed(run.state) if isinstance(e, fx.WakeAt)]
    assert [(w.at, w.subject) for w in wakes] == [(P95, "straggling of a")]
    run.at(P95 - 0.1)
    assert run.attempts() == (1, None)
    assert run.at(P95) == ["stream_copied a"]
    (copied,) = run.events(ev.StreamCopied)
    assert (copied.of, copied.attempt, copied.slot, copied.idle_slots) == (1, 2, 2, 3)
    assert (copied.elapsed_seconds, copied.long_seconds) == (P95, P95)
    assert run.effects == (fx.PrepareWorkspace(stream=A, attempt=2, cause=run.state.seq),)
    assert run.state.counts.active == 2, "it holds a slot"
    run.at(P95 * 5)
    assert run.state.speculation.copies == 1, "one a straggler"


def test_what_it_has_waited_for_does_not_make_a_straggler() -> None:
    run = Speculating(repeatable("a"))
    run.run("a")
    run.give(inputs.StreamHeld(stream=A, attempt=1, reason="the disk is full"))
    run.at(P95 + 1.0)
    assert run.attempts() == (1, None), "it is held"
    run.give(inputs.StreamLetGo(stream=A, attempt=1))
    run.at(P95 + 5.0)
    assert run.attempts() == (1, None)
    run.at(2 * P95 + 1.0)
    assert run.attempts() == (1, 2)


NEVER: dict[str, tuple[StreamPlan, dict[str, Any]]] = {
    "without speculation": (repeatable("a"), {"has_speculation": False}),
    "not repeatable": (repeatable("a", is_repeatable=False), {}),
    "a duration of another stream": (repeatable("a", estimate_basis="class"), {}),
    "a duration that is guessed": (repeatable("a", estimate_basis="guessed"), {}),
    "too few runs": (repeatable("a", long_seconds=None), {}),
    "in the user's folder": (repeatable("a", workspace="shared"), {}),
    "with a terminal": (repeatable("a", tty=True), {}),
    "with a rate": (repeatable("a", rate=RatePlan(2, 60.0)), {}),
    "no slot": (repeatable("a"), {"max_parallel": 1}),
    "resources for one": (repeatable("a", resources={"db": 1.0}), {}),
    "no memory": (repeatable("a", peak_memory_mb=5000.0), {}),
}


@pytest.mark.parametrize("case", NEVER)
def test_there_is_no_copy(case: str) -> None:
    plan, fields = NEVER[case]
    run = Speculating(plan, **fields)
    run.run("a")
    run.give(inputs.MachineLoad(memory_available_mb=4000.0, memory_pressure=None))
    if not plan.resources:
        held = stream("b", resources={"memory_mb": 1.0})
        run = Speculating(plan, held, **fields) if plan.peak_memory_mb else run
    if plan.peak_memory_mb:
        run.run("a", "b")
        run.give(inputs.MachineLoad(memory_available_mb=4000.0, memory_pressure=None))
    run.at(P95 * 4)
    assert run.attempts() == (1, None)
    assert not run.state.speculation.copies


def test_resources_are_granted_twice_and_given_back_twice() -> None:
    plan = replace(repeatable("a"), resources={"db": 1.0})
    run = Speculating(plan, resources={"db": 2.0})
    run.run("a")
    run.at(P95)
    assert run.state.resources.held_by(A) == {"db": 2.0}
    run.run("a@2")
    run.exited("a@2")
    assert run.state.resources.held_by(A) == {"db": 1.0}, "attempt 1 still has its own"
    run.exited("a@1", 143)
    assert run.state.resources.held_by(A) == {}


def test_somebody_who_is_ready_goes_before_any_copy() -> None:
    run = Speculating(repeatable("a"), stream("b"), stream("c", "b"), max_parallel=2)
    run.run("a", "b")
    run.at(P95 * 2)
    assert run.attempts() == (1, None), "both slots are taken"
    run.exited("b")
    assert run.kept("b")[-2:] == ["stream_queued c", "stream_admitted c"]
    assert run.attempts() == (1, None), "c was ready"


def test_somebody_who_waits_for_anything_else_goes_before_a_copy_too() -> None:
    holds, needs = (stream(name, resources={"db": 1.0}) for name in ("b", "c"))
    run = Speculating(repeatable("a"), holds, needs, resources={"db": 1.0})
    run.run("a", "b")
    run.at(P95 * 2)
    assert run.phase("c") == "queued"
    assert run.state.counts.active < run.state.max_parallel
    assert run.attempts() == (1, None), "a slot is free, and the machine is not idle"


def test_a_copy_makes_way_for_whoever_has_no_slot() -> None:
    run = Speculating(repeatable("a"), stream("b", after_seconds=P95 + 5.0), max_parallel=2)
    run.run("a")
    run.at(P95)
    run.run("a@2")
    words = run.at(P95 + 5.0)
    assert words == ["attempt_fenced a"]
    assert run.phase("b") == "queued"
    assert run.effects[-1] == fx.StopProcess(
        stream=A, attempt=2, grace_seconds=GRACE_SECONDS, cause=run.state.copies[A].run.cause
    )
    run.exited("a@2", 143)
    words = run.kept("a@2")
    assert words == ["partial_captured a", "copy_ended a", "stream_admitted b"]
    assert run.stream("a").partial == ("refs/a@2.2",), "what it had written is kept"
    run.exited("a")
    run.kept("a")
    assert run.phase("a") == "succeeded"
    spec = run.state.speculation
    assert (spec.copies, spec.won, spec.fenced) == (1, 0, 1)


def test_there_are_few_copies_at_a_time() -> None:
    assert [
        most_copies(plan_of(*(stream(f"s{n}") for n in range(k)))) for k in (1, 19, 20, 35)
    ] == [
        1,
        1,
        2,
        3,
    ]
    run = Speculating(repeatable("a"), repeatable("b", long_seconds=4.0))
    run.run("a", "b")
    run.at(P95 * 2)
    assert list(run.state.copies) == [StreamId("b")], "the one that is furthest beyond its habits"


# --- who counts ----------------------------------------------------------------------------------


def test_a_copy_that_succeeds_first_is_the_stream_and_the_other_is_fenced() -> None:
    run = with_copy(stream("b", "a"))
    run.at(P95 + 3.0)
    words = run.exited("a@2")
    assert words == ["stream_exited a", "commit_granted a", "attempt_fenced a"]
    assert run.attempts() == (2, 1)
    kept, stop = run.effects
    assert kept == fx.CaptureResult(
        stream=A, attempt=2, is_partial=False, cause=run.stream("a").cause
    )
    assert isinstance(stop, fx.StopProcess)
    assert stop.attempt == 1
    run.kept("a")
    assert run.phase("a") == "succeeded"
    assert run.phase("b") == "preparing", "who depends on it waits for no loser"
    assert run.exited("a@1", None, signal=15) == ["stream_exited a"]
    assert run.effects == (
        fx.CaptureResult(stream=A, attempt=1, is_partial=True, cause=run.state.copies[A].run.cause),
    )
    assert run.kept("a@1") == ["partial_captured a", "copy_ended a"]
    run.succeed("b")
    run.merged()
    assert run.state.phase == "converged"
    assert run.stream("a").retries == 0
    assert not run.events(ev.RetryScheduled, ev.StreamFailed)
    result = run.stream("a").result
    assert result is not None
    assert result.commit == "c-a.2"
    spec = run.state.speculation
    assert (spec.copies, spec.won, spec.fenced) == (1, 1, 1)
    assert spec.seconds_saved == pytest.approx(0.2 * (P95 + 3.0)), "a fifth of what it had had"
    assert spec.seconds_spent == pytest.approx(P95 + 3.0)
    assert spec.set_aside[A] == (1,)


def test_the_original_that_succeeds_first_is_the_stream() -> None:
    run = with_copy()
    assert run.exited("a@1") == ["stream_exited a", "commit_granted a", "attempt_fenced a"]
    assert run.attempts() == (1, 2)
    assert run.exited("a@2", 0) == ["stream_exited a"], "too late, however well it ended"
    run.kept("a@2")
    run.kept("a@1")
    assert run.phase("a") == "succeeded"
    (granted,) = run.events(ev.CommitGranted)
    assert (granted.attempt, granted.over, granted.saved_seconds) == (1, 2, 0.0)


def test_what_is_learned_is_the_winners_and_a_fenced_attempt_teaches_nothing() -> None:
    run = with_copy()
    run.at(P95 + 4.0)
    run.exited("a@2")
    run.kept("a@2")
    run.at(P95 + 9.0)
    run.exited("a@1", 143)
    run.kept("a@1")
    run.merged()
    (sample,) = samples_of(run.state).values()
    assert sample.work_seconds == 3.0
    assert sample.width == 2.0, "two attempts were active meanwhile"


def test_a_straggler_that_fails_leaves_the_rest_to_its_copy() -> None:
    run = with_copy()
    assert run.exited("a@1", 3) == ["stream_exited a", "copy_took_over a"]
    assert run.attempts() == (2, 1)
    assert run.phase("a") == "running"
    assert not run.events(ev.RetryScheduled, ev.AttemptFenced)
    assert run.kept("a@1") == ["partial_captured a", "copy_ended a"]
    run.exited("a@2")
    run.kept("a@2")
    assert run.phase("a") == "succeeded"
    assert not run.events(ev.CommitGranted), "there was nobody to be granted it over"
    assert run.state.speculation.fenced == 0


def test_if_the_copy_that_took_over_fails_too_it_is_tried_again_as_ever() -> None:
    run = with_copy(recovery="retry")
    run = Speculating(repeatable("a", max_retries=1))
    run.run("a")
    run.at(P95)
    run.run("a@2")
    run.exited("a@1", 1)
    run.kept("a@1")
    run.exited("a@2", 1)
    run.kept("a@2")
    assert run.phase("a") == "retrying"
    assert run.stream("a").retries == 1
    run.at(100.0)
    assert run.stream("a").attempt == 3
    run.run("a")
    run.at(100.0 + P95 + 1.0)
    assert run.attempts() == (3, 4), "another attempt, another copy"
    run.run("a@4")
    run.exited("a@3")
    run.exited("a@4", 143)
    run.kept("a@4")
    run.kept("a@3")
    assert run.phase("a") == "succeeded"


def test_a_copy_that_fails_changes_nothing() -> None:
    run = with_copy()
    assert run.exited("a@2", 1) == ["stream_exited a"]
    assert run.kept("a@2") == ["partial_captured a", "copy_ended a"]
    assert run.attempts() == (1, None)
    assert run.stream("a").retries == 0
    run.at(P95 * 3)
    assert run.attempts() == (1, None), "it has no second copy"
    run.exited("a@1")
    run.kept("a@1")
    assert run.phase("a") == "succeeded"


@pytest.mark.parametrize("how", ["no workspace", "no process", "lost", "conflict"])
def test_a_copy_that_never_gets_anywhere_changes_nothing(how: str) -> None:
    run = straggling()
    if how == "no workspace":
        run.failed("a@2")
    elif how == "conflict":
        run.conflicted("a@2", "a")
    elif how == "no process":
        run.ready("a@2")
        run.failed("a@2")
    else:
        run.run("a@2")
        run.lost("a@2")
        run.kept("a@2", "")
    assert run.attempts() == (1, None)
    assert run.phase("a") == "running"
    assert run.state.counts.active == 1
    assert run.events(ev.CopyEnded)


def test_a_winner_whose_work_cannot_be_kept_fails_as_ever() -> None:
    run = with_copy()
    run.exited("a@1")
    run.failed("a@1", "unreadable")
    assert run.phase("a") == "failed", "its work stands, and a person mends what is wrong"
    assert run.attempts() == (1, 2), "the loser is not over yet"
    run.retry("a")
    assert run.stream("a").attempt == 3
    run.exited("a@2", 143)
    run.kept("a@2")
    run.succeed("a")
    assert run.phase("a") == "succeeded"


def test_one_right_to_commit_however_close_the_two_end() -> None:
    run = with_copy()
    run.exited("a@2")
    run.exited("a@1")
    assert len(run.events(ev.CommitGranted)) == 1
    run.kept("a@1")
    run.kept("a@2")
    run.merged()
    assert run.stream("a").attempt == 2
    assert run.state.phase == "converged"


# --- others --------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["stream", "run", "timeout"])
def test_whoever_ends_the_stream_ends_both(who: str) -> None:
    run = Speculating(repeatable("a", timeout_seconds=20.0))
    run.run("a")
    run.at(P95)
    run.run("a@2")
    if who == "timeout":
        run.at(20.0)
    else:
        run.stop("a" if who == "stream" else None)
    ends = {e.attempt for e in owed(run.state) if isinstance(e, fx.StopProcess)}
    assert ends == {1, 2}
    run.exited("a@2", 0)
    assert not run.events(ev.CommitGranted), "it is too late to succeed"
    run.exited("a@1", 143)
    run.kept("a@1")
    run.kept("a@2")
    assert run.phase("a") == ("failed" if who == "timeout" else "stopped")
    assert not run.state.copies


def test_a_copy_that_is_still_being_made_is_called_off() -> None:
    run = straggling()
    run.exited("a@1")
    assert run.attempts() == (1, 2)
    assert run.ready("a@2") == ["copy_ended a"]
    run.kept("a@1")
    run.merged()
    assert run.state.phase == "converged"


def test_a_copy_that_is_called_off_before_its_process_is_known_ends_once_it_is() -> None:
    run = straggling()
    run.ready("a@2")
    run.exited("a@1")
    assert not [e for e in owed(run.state) if isinstance(e, fx.StopProcess)]
    run.started("a@2")
    assert [e.attempt for e in run.effects if isinstance(e, fx.StopProcess)] == [2]
    assert run.state.speculation.fenced == 1, "it is counted once"


def test_the_newest_copy_goes_first_where_memory_is_short() -> None:
    run = with_copy(stream("b"))
    run.run("b")
    uses = (inputs.MemoryUse(A, 1, 900.0), inputs.MemoryUse(StreamId("b"), 1, 10.0))
    run.give(inputs.MemorySeen(uses=uses, is_short=True))
    assert [e.attempt for e in run.events(ev.AttemptFenced)] == [2]
    run.give(inputs.MemorySeen(uses=uses, is_short=True))
    assert not run.events(ev.StreamOverran), "that memory comes back first"


# --- calls ---------------------------------------------------------------------------------------


def test_the_first_that_others_would_notice_has_the_right_to_commit() -> None:
    run = with_copy()
    answer = run.call(calls.StateSet, 2, key="k", value=1)
    assert answer.outcome == "done"
    (granted,) = run.events(ev.CommitGranted)
    assert (granted.attempt, granted.over) == (2, 1)
    assert run.attempts() == (2, 1)
    late = run.call(calls.StateSet, 1, key="k", value=2)
    assert late.outcome == "refused"
    assert "fenced" in str(late.facts["reason"])
    assert run.call(calls.Heartbeat, 1, status="here").outcome == "refused"
    run.exited("a@1", 0)
    run.kept("a@1")
    run.exited("a@2", 0)
    run.kept("a@2")
    assert len(run.events(ev.CommitGranted)) == 1
    assert run.phase("a") == "succeeded"


def test_who_has_been_noticed_already_gets_no_copy() -> None:
    run = Speculating(repeatable("a"))
    run.run("a")
    run.call(calls.StateSet, 1, key="k", value=1)
    run.at(P95 * 2)
    assert run.attempts() == (1, None)


def test_signs_of_life_are_no_effect() -> None:
    run = Speculating(repeatable("a"))
    run.run("a")
    run.call(calls.Heartbeat, 1, status="half")
    run.at(P95)
    assert run.attempts() == (1, 2)
    run.run("a@2")
    assert run.call(calls.Heartbeat, 2, status="as well").outcome == "done"
    assert run.stream("a").liveness.status == "half", "the copy speaks for nobody"
    assert not run.events(ev.CommitGranted)


@pytest.mark.parametrize("wins", [1, 2])
def test_a_timeline_shows_what_each_of_two_did(wins: Attempt) -> None:
    run = with_copy()
    run.at(P95 + 3.0)
    run.exited(f"a@{wins}")
    run.at(P95 + 4.0)
    run.exited(f"a@{3 - wins}", 143)
    run.at(P95 + 5.0)
    run.kept(f"a@{wins}")
    run.kept(f"a@{3 - wins}")
    spells = Spells()
    for record in run.records:
        spells.take(record)
    ran = {s.attempt: (s.begin, s.end, s.is_good) for s in spells.of(A) if s.sort == "ran"}
    ends = {wins: P95 + 3.0, 3 - wins: P95 + 4.0}
    assert ran == {
        1: (0.0, ends[1], wins == 1),
        2: (P95 + 1.0, ends[2], wins == 2),
    }
    works = [(s.kind, s.begin, s.end) for s in spells.of(A) if s.sort == "work"]
    assert works == [("result", P95 + 3.0, P95 + 5.0)]


def test_a_copy_is_told_beside_its_stream() -> None:
    run = with_copy()
    copy = stream_status(run.state, run.stream("a"))["copy"]
    assert (copy["attempt"], copy["of"], copy["state"], copy["slot"]) == (2, 1, "running", 2)
    words = "a copy in slot 2: past its p95 of 10 s"
    assert words in reason_for(run.state, run.stream("a"))
    assert since_in_words(run.state.copies[A], run.clock() + 4.0) == f"{words}, for 4s"
    run.exited("a@2")
    copy = stream_status(run.state, run.stream("a"))["copy"]
    assert (copy["attempt"], copy["state"]) == (1, "ending")
    assert "right to commit" in copy["fenced"]
    run.kept("a@2")
    run.exited("a@1", 143)
    run.kept("a@1")
    assert stream_status(run.state, run.stream("a"))["copy"] is None
    assert speculation_in_words(speculation(run.state)).startswith("1 copy, 1 of them first")


def test_the_order_of_a_timeline_knows_of_two_attempts() -> None:
    run = with_copy()
    run.at(P95 + 3.0)
    run.exited("a@2")
    run.kept("a@2")
    run.exited("a@1", 143)
    run.kept("a@1")
    check = OrderCheck()
    for record in run.records:
        check.take(record)
    assert check.found()["check"] == "ok"


def test_why_some_are_never_copied_is_said() -> None:
    synced = repeatable("a", sync=True)
    brought = plan_of(synced, point("final", takes_checkpoints=True))
    assert "brought to it" in why_never(brought, synced)
    assert why_never(plan_of(repeatable("a")), repeatable("a")) == ""


def test_copies_go_first_where_the_run_is_narrowed() -> None:
    run = with_copy(stream("b"), is_adaptive=True)
    run.run("b")
    assert run.state.counts.active == 3
    pressed = inputs.PressureSeen(
        memory_available_mb=300.0,
        memory_total_mb=16000.0,
        growing_mb=0.0,
        largest_mb=100.0,
        cores=2,
        busy=0.5,
        own=0.5,
        memory_some=60.0,
    )
    run.give(pressed)
    run.clock.advance_to(run.clock() + 5.0)
    run.give(pressed)
    assert run.state.max_parallel < 3
    assert [e.attempt for e in run.events(ev.AttemptFenced)] == [2]


def test_a_checkpoint_that_was_wanted_of_the_loser_is_not_waited_for() -> None:
    run = with_copy(point("final", type="checkpoint", takes_checkpoints=True, interval_seconds=1.0))
    run.at(run.clock() + 5.0)
    assert [e for e in owed(run.state) if isinstance(e, fx.TakeCheckpoint)]
    run.exited("a@2")
    assert not [e for e in owed(run.state) if isinstance(e, fx.TakeCheckpoint)]
