"""The guardian: what it does about a stream in trouble, in which order, and what holds it back."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from anabranch.core import calls, inputs
from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core.deciding.guardian.brakes import INTENSITY_SECONDS, LEAST_INTENSITY
from anabranch.core.deciding.guardian.by_hand import forecast
from anabranch.core.deciding.guardian.diagnosis import diagnose
from anabranch.core.deciding.owed import owed
from anabranch.core.deciding.streams.restoring import to_restore
from anabranch.core.ids import StreamId
from anabranch.core.model.snapshots import decode_state, encode_state
from anabranch.core.model.state import RunPhase
from anabranch.core.plans.plan import AskPlan, Plan
from anabranch.core.strategies.remedies import Drop, RemedyDecision, Trouble
from anabranch.plugins import load_plugins
from anabranch.testing import ByHand, plan_of, point, stream

GRACE = 30.0
MOST_ROUNDS = 40
"""More than every rung, every retry and every last resort of four streams take."""
A = StreamId("a")


class Ward(ByHand):
    """A run whose streams get into trouble; all of them run from the start."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan, load_plugins().strategies)
        for member in plan.streams:
            self.begins(member.id)

    def begins(self, name: str) -> None:
        """Let a stream's process start, if it holds a slot."""
        if self.phase(name) == "preparing":
            self.ready(name)
            self.started(name)

    def sees(self, name: str, verdict: str = "stalled", silent: float = 0.0) -> None:
        """Report how a stream gets on."""
        at = self.stream(name)
        fact = inputs.LivenessSeen(
            stream=at.id,
            attempt=at.attempt,
            verdict=verdict,
            evidence=f"{verdict} for 600 s",
            silent_seconds=silent,
        )
        self.give(fact)

    def passes(self, seconds: float) -> None:
        """Let time pass and the clock ring."""
        self.clock.advance(seconds)
        self.give(inputs.TimeReached())

    def is_ended(self, name: str) -> None:
        """The process that was told to end has ended, and its work is kept."""
        self.exited(name, None, signal=15)
        self.kept(name)

    def starts_again(self, name: str) -> None:
        """Let a delay pass and the next attempt run."""
        self.passes(120.0)
        self.begins(name)

    def recovers(self, name: str, remedy: str) -> None:
        """A person triggers a remedy."""
        self.give(inputs.RecoverStream(stream=StreamId(name), remedy=remedy, reason="by hand"))

    def story(self, name: str) -> list[str]:
        """Return remedies and how they ended, of one stream."""
        found = []
        for event in (r.event for r in self.records):
            if isinstance(event, ev.RecoveryStarted) and event.stream == name:
                found.append(event.remedy)
            elif isinstance(event, ev.RecoveryFinished) and event.stream == name:
                found.append(f"{event.remedy} {event.outcome}")
            elif isinstance(event, ev.GuardianAlerted) and event.stream == name:
                found.append("alert")
        return found


def ward(*names: str, fallback: str = "sequential", **more: Any) -> Ward:
    """Return a run of some streams that run."""
    members = [stream(name, max_retries=1) for name in names]
    return Ward(plan_of(*members, fallback=fallback, max_parallel=len(names), **more))


# --- the ladder ------------------------------------------------------------------------------


@pytest.mark.parametrize("verdict", ["stalled", "never_heard"])
def test_a_stream_that_stands_still_is_asked_first(verdict: str) -> None:
    """A question lies in its inbox, with a deadline; it is shown as recovering, and why."""
    run = ward("a", "b")
    run.sees("a", verdict)
    assert run.story("a") == ["soft"]
    assert run.stream("a").public_state == "recovering"
    assert "600 s" in run.stream("a").reason
    (asked,) = [r.event for r in run.records if isinstance(r.event, ev.MessageSent)]
    assert (asked.to, asked.body["kind"], asked.deadline) == ("a", "status_asked", GRACE)
    assert fx.WakeAt(at=GRACE, subject="recovery of a", cause=run.stream("a").care.cause) in owed(
        run.state
    )
    run.passes(GRACE - 1)
    assert run.phase("a") == "running"


def test_a_sign_calls_everything_off() -> None:
    """Whoever answers is left alone, and the time that was set means nothing any more."""
    run = ward("a")
    run.passes(5.0)
    run.sees("a")
    run.passes(GRACE - 1)
    run.sees("a", "back")
    run.passes(GRACE)
    assert run.story("a") == ["soft", "soft recovered"]
    (over,) = (r.event for r in run.records if isinstance(r.event, ev.RecoveryFinished))
    assert over.seconds == GRACE - 1
    assert (run.phase("a"), run.stream("a").public_state) == ("running", "running")


def test_it_is_asked_once_in_the_way_of_its_plan_too() -> None:
    """What is owed for that is owed no more when it was done, and a late word changes nothing."""
    run = Ward(plan_of(stream("a", ask=AskPlan(line="status?"), max_retries=1)))
    run.sees("a")
    (effect,) = (e for e in owed(run.state) if isinstance(e, fx.AskStream))
    cause = run.stream("a").care.cause
    assert effect.cause == cause
    done: dict[str, Any] = {
        "stream": A,
        "attempt": 1,
        "way": "the line 'status?'",
        "outcome": "typed",
    }
    late, first, again = (
        run.give(inputs.StreamAsked(cause=c, **done)) for c in (cause - 1, cause, cause)
    )
    assert (late, first, again) == ([], ["stream_asked a"], [])
    assert not [e for e in owed(run.state) if isinstance(e, fx.AskStream)]


def test_without_a_sign_its_work_is_kept_and_it_starts_again() -> None:
    """Two signals: it stood still, and it left the question unanswered."""
    run = ward("a", "b")
    run.sees("a")
    run.passes(GRACE)
    assert run.phase("a") == "stopping"
    run.is_ended("a")
    assert run.stream("a").partial == ("refs/a.1",)
    assert (run.phase("a"), run.stream("a").public_state) == ("retrying", "recovering")
    run.starts_again("a")
    assert run.story("a") == ["soft", "soft escalated", "hard", "hard recovered"]
    assert (run.stream("a").attempt, run.phase("b")) == (2, "running")


def climbed(fallback: str, *others: str) -> Ward:
    """Return a run in which a stream has used up its retries and stands still again."""
    run = ward("a", *others, fallback=fallback)
    for _ in range(2):
        run.sees("a")
        run.passes(GRACE)
        run.is_ended("a")
        run.starts_again("a")
        run.passes(INTENSITY_SECONDS)
    return run


def test_the_sequential_fallback_gives_one_more_try_with_the_machine_to_itself() -> None:
    """Nothing new starts beside it; if that does not help either, a person is needed."""
    run = climbed("sequential", "b")
    assert run.story("a")[-2:] == ["hard escalated", "sequential"]
    assert run.state.max_parallel == 1
    assert run.phase("a") == "queued"
    run.exited("b")
    run.kept("b")
    run.begins("a")
    assert run.story("a")[-1] == "sequential recovered"
    run.sees("a")
    run.passes(GRACE)
    run.is_ended("a")
    assert run.story("a")[-1] == "hard gave_up"
    run.merged()
    assert run.state.phase is RunPhase.NEEDS_OPERATOR
    assert "recover a hard" in run.state.hint
    run.recovers("a", "hard")
    assert (run.refusal, run.phase("a")) == (None, "preparing")


def test_a_last_resort_whose_attempt_cannot_even_begin_is_over() -> None:
    """It is one more try, not one for ever: the guardian gives up."""
    run = climbed("sequential", "b")
    run.exited("b")
    run.kept("b")
    assert run.phase("a") == "preparing"
    run.failed("a")
    assert run.phase("a") == "failed"
    assert run.story("a")[-1] == "sequential gave_up"


def test_what_a_person_recovers_and_cannot_begin_is_not_tried_for_ever() -> None:
    run = ward("a")
    run.recovers("a", "hard")
    run.is_ended("a")
    run.passes(0.0)
    assert run.phase("a") == "preparing"
    run.failed("a")
    assert run.phase("a") == "failed"


def test_the_degrade_fallback_goes_on_without_the_stream() -> None:
    """Even without --keep-going nothing else is called off."""
    run = climbed("degrade", "b")
    assert (run.phase("a"), run.phase("b")) == ("failed", "running")
    assert run.state.first_failure is None


def test_the_stop_fallback_stops_the_run_and_keeps_everything() -> None:
    """Every stream is ended gracefully."""
    run = climbed("stop", "b")
    assert run.state.stop_reason
    assert (run.phase("a"), run.phase("b")) == ("failed", "stopping")


def test_a_plugin_brings_its_own_last_rung() -> None:
    """A remedy is a strategy like any other."""

    class Forget:
        name = "forget"

        def remedy(self, view: Trouble, now: float) -> RemedyDecision:
            return Drop(f"{view.stream} is forgotten")

    run = ward("a", "b", fallback="forget")
    run._strategies = replace(run._strategies, remedies={"forget": Forget()})
    run.recovers("a", "fallback")
    run.is_ended("a")
    assert (run.phase("a"), run.state.first_failure) == ("failed", None)


def test_what_was_ended_for_its_silence_has_not_crashed() -> None:
    """Given up or not: the name for the trouble is what it was ended for."""
    run = climbed("stop")
    assert run.phase("a") == "failed"
    assert run.story("a")[-1] == "stop gave_up"
    assert diagnose(run.state, run.stream("a")) == "silent"


def test_one_failure_is_a_crash_and_more_of_them_are_a_loop() -> None:
    """Of a command that cannot be run neither is said."""
    run = Ward(plan_of(stream("a", max_retries=3), stream("b", max_retries=3)))
    found = []
    for code in (1, 1, 127):
        run.exited("a", code)
        run.kept("a")
        found.append(diagnose(run.state, run.stream("a")))
        run.starts_again("a")
    assert found == ["crashed", "crash loop", "cannot start"]


# --- brakes ----------------------------------------------------------------------------------


def test_what_a_person_stopped_is_left_alone() -> None:
    """Whatever the clocks say."""
    run = ward("a")
    run.sees("a")
    run.give(inputs.StopStream(stream=A, reason="by you"))
    run.passes(GRACE)
    run.is_ended("a")
    assert (run.phase("a"), run.story("a")) == ("stopped", ["soft", "soft called_off"])


def test_many_troubles_at_once_are_one_trouble_of_the_machine() -> None:
    """Only so many are ended within a minute; the others raise an alert and come later."""
    names = [f"s{n}" for n in range(8)]
    run = ward(*names)
    for name in names:
        run.sees(name)
    run.passes(GRACE)
    ended = [name for name in names if run.phase(name) == "stopping"]
    assert len(ended) == LEAST_INTENSITY
    held = next(name for name in names if name not in ended)
    assert run.story(held) == ["soft", "alert"]
    assert "machine" in run.stream(held).care.alert
    run.passes(INTENSITY_SECONDS)
    assert run.phase(held) == "stopping"


def test_a_new_engine_asks_anew() -> None:
    """While nobody looked no deadline passed."""
    run = ward("a")
    run.sees("a")
    run.clock.advance(3600.0)
    run.give(inputs.ResumeRun(reason="again", adopted=0, retry_failed=False))
    run.give(inputs.TimeReached())
    assert run.phase("a") == "running"
    run.passes(GRACE)
    assert run.phase("a") == "stopping"


def test_a_recovery_that_takes_too_long_is_told() -> None:
    """A process that nothing can end: nobody acts any more, but everybody sees it."""
    run = ward("a", recovery_timeout_seconds=50.0)
    run.sees("a")
    run.passes(GRACE)
    run.passes(50.0)
    assert run.story("a")[-1] == "alert"
    assert "longer than 50 s" in run.stream("a").care.alert


def test_a_new_engine_gives_a_recovery_all_its_time_again() -> None:
    """No alert says that it takes longer than it has."""
    run = ward("a", recovery_timeout_seconds=50.0)
    run.sees("a")
    run.passes(GRACE)
    run.give(inputs.ResumeRun(reason="again", adopted=0, retry_failed=False))
    run.passes(49.0)
    assert not run.stream("a").care.alert
    run.passes(1.0)
    assert "longer than 50 s" in run.stream("a").care.alert


def test_who_keeps_others_waiting_for_too_long_is_asked_and_ended_only_if_it_stands_still() -> None:
    """Over the timeout of a point, one that works is not ended: a person is told."""
    plan = plan_of(
        stream("a", converge="p"),
        stream("b", converge="p"),
        stream("c", converge="p"),
        point("p", timeout_seconds=100.0),
        max_parallel=3,
    )
    run = Ward(plan)
    run.passes(50.0)
    run.exited("c")
    run.kept("c")
    run.passes(110.0)
    (overdue,) = (r.event for r in run.records if isinstance(r.event, ev.ConvergenceOverdue))
    assert (overdue.waited_seconds, overdue.waiting_for) == (110.0, ("a", "b"))
    assert (run.story("a"), run.story("b")) == (["soft"], ["soft"])
    run.sees("a", "back")
    run.sees("b")
    run.passes(GRACE)
    assert run.story("a") == ["soft", "soft called_off", "alert"]
    assert "it gets on" in run.stream("a").care.alert
    assert run.story("b")[-1] == "hard"
    run.passes(1000.0)
    assert run.phase("a") == "running"


def overdue(**more: Any) -> Ward:
    """Return a run in which a stream keeps another one waiting at a point for too long."""
    plan = plan_of(
        stream("a", converge="p", heartbeat_timeout_seconds=200.0, **more),
        stream("c", converge="p"),
        point("p", timeout_seconds=100.0),
        max_parallel=2,
    )
    run = Ward(plan)
    run.exited("c")
    run.kept("c")
    run.passes(100.0)
    assert run.story("a") == ["soft"]
    return run


def test_no_sign_is_no_sign() -> None:
    """Who holds a point up and leaves the question unanswered does not "get on".

    Its own clocks have not run out: a person is told, and it is ended as soon as they have.
    """
    run = overdue(max_retries=1)
    run.passes(GRACE)
    assert run.story("a") == ["soft", "alert"]
    assert "no sign came" in run.stream("a").care.alert
    assert run.stream("a").care.deadline == 300.0
    run.sees("a")
    assert run.story("a")[-2:] == ["soft escalated", "hard"]
    assert run.phase("a") == "stopping"


def test_who_works_without_a_sign_is_left_alone_and_a_person_is_told() -> None:
    """Had it stood still for its timeout, the watch would have said so."""
    run = overdue()
    run.passes(GRACE)
    run.passes(200.0 - GRACE)
    assert run.story("a") == ["soft", "alert", "soft called_off", "alert"]
    assert "but it works" in run.stream("a").care.alert
    assert run.phase("a") == "running"


def test_who_waits_for_something_is_not_ended_for_its_silence() -> None:
    """The engine knows what for."""
    run = Ward(
        plan_of(
            stream("a", converge="p"),
            stream("b", converge="p"),
            stream("c", converge="p"),
            point("p", timeout_seconds=100.0),
            max_parallel=3,
        )
    )
    for name, number in (("b", 1), ("a", 2)):
        caller = calls.Caller(StreamId(name), 1)
        run.give(calls.Lock(caller=caller, request=str(number), path="x", wait=True))
    run.exited("c")
    run.kept("c")
    run.passes(100.0)
    run.passes(GRACE)
    assert run.story("a") == ["soft", "soft called_off", "alert"]
    assert "it waits for the lock of x" in run.stream("a").care.alert


def answers_and_no_more(run: Ward, name: str, times: int) -> None:
    """A stream says something whenever it is asked, and nothing else."""
    for _ in range(times):
        run.passes(600.0)
        run.sees(name, silent=600.0)
        run.sees(name, "back")


def test_who_only_answers_leaves_the_first_rung_too() -> None:
    """Three times in a row, without another sign in between; heartbeats are promises, and count."""
    run = ward("a", "b")
    answers_and_no_more(run, "a", 3)
    run.passes(600.0)
    run.sees("a", silent=600.0)
    run.passes(0.0)
    assert run.story("a")[-3:] == ["soft", "soft escalated", "hard"]
    for _ in range(5):
        run.passes(600.0)
        run.sees("b", silent=600.0)
        run.passes(0.0)
        run.give(calls.Heartbeat(caller=calls.Caller(StreamId("b"), 1), request=""))
        run.sees("b", "back")
    assert run.phase("b") == "running"


def test_who_does_something_between_two_questions_is_asked_again_and_again() -> None:
    run = ward("a")
    for _ in range(6):
        answers_and_no_more(run, "a", 1)
        run.passes(300.0)  # it says something by itself
    assert run.phase("a") == "running"
    assert "hard" not in run.story("a")


# --- by hand ---------------------------------------------------------------------------------


@pytest.mark.parametrize("remedy", ["soft", "hard", "fallback"])
def test_a_person_can_trigger_every_remedy(remedy: str) -> None:
    """On a stream that runs well, too; no retry is used up, and no brake holds."""
    run = ward("a", "b")
    run.recovers("a", remedy)
    assert run.refusal is None
    if remedy == "soft":
        assert run.story("a") == ["soft"]
        run.passes(GRACE)
        assert run.story("a") == ["soft", "alert"]  # no sign came: that is all that is known
        run.sees("a", "quiet")
        assert run.story("a") == ["soft", "alert", "soft recovered"]
        return
    assert run.phase("a") == "stopping"
    run.is_ended("a")
    if remedy == "fallback":
        assert run.state.max_parallel == 1
        run.exited("b")
        run.kept("b")
    run.starts_again("a")
    assert run.stream("a").attempt == 2


def test_a_persons_remedies_use_up_nothing() -> None:
    """No retry, no brake, no last resort: the guardian still has all of its own afterwards."""
    run = ward("a", "b")
    for remedy in ("hard", "hard", "fallback", "hard", "hard"):
        run.recovers("a", remedy)
        run.is_ended("a")
        if remedy == "fallback":
            run.exited("b")
            run.kept("b")
        run.starts_again("a")
    assert (run.stream("a").attempt, run.stream("a").retries) == (6, 0)
    assert (run.state.guardian.hard_at, run.stream("a").care.fallback) == ((), "")
    run.exited("a", 1)
    run.kept("a")
    assert (run.phase("a"), run.stream("a").retries) == ("retrying", 1)


@pytest.mark.parametrize("remedy", ["hard", "fallback"])
def test_what_a_person_ends_goes_on_from_its_checkpoint(remedy: str) -> None:
    """As after any other remedy; only a stream that was over starts afresh."""
    run = ward("a")
    attempt = run.stream("a").attempt
    run.give(calls.Checkpoint(caller=calls.Caller(A, attempt), request="r1", label="good"))
    run.give(
        inputs.CheckpointReady(
            stream=A, attempt=attempt, number=1, commit="c", tree="t", ref="refs/c",
            files_changed=1, start_tree="s",
        )
    )  # fmt: skip
    run.recovers("a", remedy)
    run.is_ended("a")
    run.passes(1.0)
    taken = to_restore(run.state, A)
    assert taken is not None
    assert taken.label == "good"


def test_a_new_attempt_is_not_judged_by_what_was_seen_of_the_one_before() -> None:
    """Well is well: no evidence, diagnosis or alert of the former attempt stands in its row."""
    run = ward("a", "b", recovery_timeout_seconds=50.0)
    run.sees("a")
    run.passes(GRACE)
    run.passes(50.0)
    assert run.stream("a").care.alert
    run.is_ended("a")
    run.starts_again("a")
    at = run.stream("a")
    assert diagnose(run.state, at) == "well"
    assert (at.care.evidence, at.care.diagnosis, at.care.alert, at.liveness.evidence) == ("",) * 4
    assert forecast(run.state, A, "hard").evidence == at.reason
    run.sees("b")
    run.sees("b", "back")
    assert forecast(run.state, StreamId("b"), "hard").evidence == run.stream("b").reason


@pytest.mark.parametrize("code", [1, 127])
@pytest.mark.parametrize(
    ("fallback", "other", "story"),
    [
        ("degrade", "running", ["degrade", "degrade gave_up"]),
        ("stop", "stopping", ["stop", "stop gave_up"]),
        ("sequential", "running", []),
    ],
)
def test_the_fallback_says_what_becomes_of_a_run_in_which_a_stream_fails_for_good(
    fallback: str, other: str, story: list[str], code: int
) -> None:
    """One that would only try again has no say: the plan's retries are the tries that there are."""
    run = ward("a", "b", fallback=fallback)
    while run.phase("a") != "failed":
        run.exited("a", code)
        run.kept("a")
        run.starts_again("a")
    assert run.story("a") == story
    assert (run.phase("b"), run.state.max_parallel) == (other, 2)
    assert (run.state.first_failure is None) is (fallback == "degrade")


@pytest.mark.parametrize(("fallback", "at_once"), [("sequential", 1), ("degrade", 2)])
def test_a_person_can_have_the_last_resort_of_one_that_has_failed(
    fallback: str, at_once: int
) -> None:
    """It runs once more; alone only if that is what the plan's fallback means."""
    run = ward("a", "b", fallback=fallback)
    while run.phase("a") != "failed":
        run.exited("a", 1)
        run.kept("a")
        run.starts_again("a")
    run.recovers("a", "fallback")
    assert run.refusal is None
    assert run.state.max_parallel == at_once
    assert run.phase("a") in {1: "queued", 2: "preparing"}[at_once]


def test_an_optional_stream_that_fails_asks_for_no_last_resort() -> None:
    run = Ward(plan_of(stream("a", optional=True), stream("b"), fallback="stop", max_parallel=2))
    run.exited("a", 1)
    run.kept("a")
    assert (run.phase("a"), run.phase("b"), run.story("a")) == ("failed", "running", [])


def test_nothing_is_recovered_while_the_run_is_being_stopped() -> None:
    """When it has stopped, it can."""
    run = ward("a", "b")
    run.stop()
    run.recovers("a", "hard")
    assert run.refusal is not None
    assert run.refusal.reason == "the run is stopping"
    for name in "ab":
        run.is_ended(name)
    assert run.state.phase is RunPhase.STOPPED
    run.recovers("a", "hard")
    assert run.phase("a") == "preparing"


def test_what_cannot_be_recovered_is_refused_with_the_reason() -> None:
    """And with the next step."""
    run = ward("a", "b")
    for name, remedy, words in (
        ("x", "hard", "no stream 'x'"),
        ("a", "hrad", "no remedy 'hrad'"),
    ):
        run.recovers(name, remedy)
        assert run.refusal is not None
        assert words in run.refusal.reason
        assert run.refusal.hint
    run.exited("a")
    run.kept("a")
    run.recovers("a", "hard")
    assert run.refusal is not None
    assert "has succeeded" in run.refusal.reason


@pytest.mark.parametrize("fallback", ["sequential", "degrade", "stop"])
def test_a_remedy_is_foretold(fallback: str) -> None:
    """What would be done, what is kept, whom it touches, and whether it can be undone."""
    plan = plan_of(stream("a"), stream("b"), stream("c", "a"), fallback=fallback, max_parallel=2)
    run = Ward(plan)
    run.sees("a")
    soft = forecast(run.state, A, "soft")
    assert (soft.touched, soft.diagnosis) == ((), "silent")
    hard = forecast(run.state, A, "hard")
    assert hard.touched == ("c",)
    assert any("attempt 2" in step for step in hard.steps)
    last = forecast(run.state, A, "fallback")
    assert last.kept
    begun_again = "it cannot be undone; what the ended attempt had done is kept"
    assert soft.undo == "any sign of life calls it off"
    assert hard.undo == begun_again
    undo = begun_again if fallback == "sequential" else "anabranch recover a hard starts it again"
    assert last.undo == undo
    steps = {
        "sequential": "from now on one stream runs at a time",
        "degrade": "a is dropped; the rest goes on",
        "stop": "every other stream is stopped too, its work kept",
    }
    assert last.steps[-1] == steps[fallback]
    assert not set(hard.steps) & set(steps.values())
    assert forecast(run.state, StreamId("x"), "hard").refusal


# --- everything at once ----------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32))
def test_no_story_ends_a_stream_on_one_signal_or_goes_on_for_ever(seed: int) -> None:
    """Random troubles, ends and remedies: a hard recovery by the guardian follows an unanswered
    question, what a person stopped never runs again, and the state survives a snapshot."""
    rng = Random(seed)
    names = ["a", "b", "c", "d"]
    run = ward(*names, fallback=rng.choice(["sequential", "degrade", "stop"]))
    stopped: set[str] = set()
    for _ in range(60):
        name = rng.choice(names)
        phase = run.phase(name)
        what = rng.random()
        if what < 0.4 and phase == "running":
            run.sees(name, rng.choice(["stalled", "never_heard", "back", "quiet"]))
        elif what < 0.5:
            run.recovers(name, rng.choice(["soft", "hard", "fallback"]))
        elif what < 0.54 and not run.stream(name).has_ended:
            run.give(inputs.StopStream(stream=StreamId(name), reason="by you"))
            if run.refusal is None:
                stopped.add(name)
        elif phase == "stopping" or (phase == "running" and what < 0.6):
            run.exited(name, rng.choice([0, 1]))
        elif phase == "capturing":
            run.kept(name)
        else:
            run.begins(name)
            run.passes(rng.choice([1.0, GRACE, INTENSITY_SECONDS]))
        stopped = {s for s in stopped if not _asked_for_since(run, s)}
        for other in stopped:
            assert run.stream(other).stop or run.stream(other).has_ended
        assert decode_state(encode_state(run.state)).guardian == run.state.guardian
    for name in names:
        story = run.story(name)
        for place, word in enumerate(story):
            if word == "hard" and _is_guardians(run, name, story[: place + 1].count("hard")):
                assert story[place - 1] == "soft escalated"
    _fall_silent(run, names)
    assert all(run.stream(name).has_ended for name in names), [run.phase(n) for n in names]


def _fall_silent(run: Ward, names: list[str]) -> None:
    """Nobody gives a sign any more; whatever the guardian wants done, is done."""
    for _ in range(MOST_ROUNDS):
        for name in names:
            run.begins(name)
            if run.phase(name) == "running":
                run.sees(name)
            elif run.phase(name) == "stopping":
                run.exited(name, None, signal=15)
            elif run.phase(name) == "capturing":
                run.kept(name)
        run.passes(INTENSITY_SECONDS)


def _asked_for_since(run: Ward, name: str) -> bool:
    """Whether a person has wanted a stream to run again after it was stopped."""
    last = [r for r in run.records if getattr(r.event, "stream", None) == name]
    marks = (ev.StreamRequeued, ev.StreamStopRequested)
    newest = [r.event for r in last if isinstance(r.event, marks)]
    return bool(newest) and isinstance(newest[-1], ev.StreamRequeued)


def _is_guardians(run: Ward, name: str, number: int) -> bool:
    hard = [
        r.event
        for r in run.records
        if isinstance(r.event, ev.RecoveryStarted)
        and (r.event.stream, r.event.remedy) == (name, "hard")
    ]
    return hard[number - 1].by == "guardian"
