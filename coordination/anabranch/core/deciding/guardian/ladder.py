"""Climbing the ladder: soft, then hard, then the plan's fallback; each step says why.

Only events and the clock make it climb. What a failed attempt leads to is decided in
:mod:`anabranch.core.deciding.streams.streams`, which asks :func:`after_attempt` here.
"""

from __future__ import annotations

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.guardian.brakes import INTENSITY_SECONDS, held_until, most_at_once
from anabranch.core.deciding.guardian.diagnosis import (
    HOLDS_UP,
    diagnose,
    diagnosis_of_failure,
    trouble_of,
)
from anabranch.core.deciding.messages import tell
from anabranch.core.ids import PointId
from anabranch.core.model.guardian import GUARDIAN, PERSON
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Stream
from anabranch.core.strategies import GiveUp, RecoveryDecision, Retry
from anabranch.core.strategies.remedies import (
    Ask,
    Drop,
    EndAndRetry,
    EndRun,
    RemedyDecision,
    RunAlone,
)
from anabranch.core.strategies.rungs import HARD, SOFT
from anabranch.core.wording import counted

MOST_ANSWERS = 3
"""After so many questions answered in a row, and nothing else done, answers count no more."""

_OUTCOMES = {
    Phase.SUCCEEDED: "recovered",
    Phase.STOPPED: "called_off",
    Phase.SKIPPED: "called_off",
    Phase.QUARANTINED: "called_off",
}
"""How a remedy has ended when its stream has; otherwise the guardian gives up."""


# --- what happened ---------------------------------------------------------------------------


def follow(draft: Draft, event: ev.StreamEvent) -> None:
    """Let the guardian act on an event about a stream."""
    stream = draft.stream(event.stream)
    if isinstance(event, ev.StreamStalled):
        _has_stalled(draft, stream)
    elif not stream.care.remedy:
        return
    elif isinstance(event, ev.StreamProgressed):
        if stream.care.remedy == SOFT:
            _has_answered(draft, stream, event.evidence)
    elif isinstance(event, ev.StreamStarted | ev.SetupStarted):
        if stream.care.remedy != SOFT:
            finish(draft, stream, "recovered", f"attempt {event.attempt} runs")
    elif isinstance(event, ev.StreamStopRequested):
        if event.then == Phase.STOPPED:
            finish(draft, stream, "called_off", f"a person stopped it: {event.reason}")
    elif stream.has_ended:
        finish(draft, stream, _OUTCOMES.get(stream.phase, "gave_up"), stream.reason)
    elif stream.care.remedy == SOFT and stream.phase is not Phase.RUNNING:
        finish(draft, stream, "called_off", stream.reason)


def _has_stalled(draft: Draft, stream: Stream) -> None:
    """Ask it; one that was asked before, and has left that unanswered for long enough, is ended."""
    care, state = stream.care, draft.state
    if stream.phase is not Phase.RUNNING or stream.stop or state.stop_reason:
        return
    if not care.remedy:
        ask(draft, stream, diagnose(state, stream), stream.liveness.evidence, GUARDIAN)
    elif care.remedy == SOFT and draft.now >= care.since + state.plan.soft_grace_seconds:
        end_and_retry(draft, stream, care.by)


def _has_answered(draft: Draft, stream: Stream, evidence: str) -> None:
    """Call a question off at a sign; who works and yet holds up a point is a person's business."""
    if stream.care.diagnosis == HOLDS_UP:
        leave_alone(draft, stream, "it gets on")
    else:
        finish(draft, stream, "recovered", evidence)


def leave_alone(draft: Draft, stream: Stream, why: str) -> None:
    care = stream.care
    finish(draft, stream, "called_off", f"{why}, so it is not ended")
    reason = f"{care.evidence}; {why}" if care.diagnosis == HOLDS_UP else why
    hint = f"anabranch recover {stream.id} hard ends it"
    hint += "; or give the point more time" if care.diagnosis == HOLDS_UP else ""
    draft.emit(
        ev.GuardianAlerted(
            stream.id, attempt=stream.attempt, diagnosis=care.diagnosis, reason=reason, hint=hint
        )
    )


def point_overdue(draft: Draft, point_id: PointId) -> None:
    """Ask everybody who runs and keeps others waiting at a point for longer than its timeout."""
    event = draft.events[-1].event
    assert isinstance(event, ev.ConvergenceOverdue)
    for stream_id in event.waiting_for:
        stream = draft.stream(stream_id)
        evidence = f"others wait for it at {point_id} for {event.waited_seconds:.0f} s"
        if stream.phase is Phase.RUNNING and not stream.care.remedy and not stream.stop:
            ask(draft, stream, HOLDS_UP, evidence, GUARDIAN)


# --- the rungs -------------------------------------------------------------------------------


def ask(draft: Draft, stream: Stream, diagnosis: str, evidence: str, by: str) -> None:
    """Take the first rung: put a question into the stream's inbox, with a deadline."""
    view = trouble_of(draft.state, stream, diagnosis, evidence)
    decision = draft.strategies.remedy(SOFT).remedy(view, draft.now)
    if not isinstance(decision, Ask):
        end_and_retry(draft, stream, by)
        return
    wait_seconds, reason = max(0.0, decision.wait_seconds), f"asked for a sign: {evidence}"
    if by == GUARDIAN and stream.care.answers >= MOST_ANSWERS:
        questions = counted(stream.care.answers, "question")
        wait_seconds, reason = 0.0, f"it has answered {questions} and done nothing else: {evidence}"
    deadline = draft.now + wait_seconds
    started = ev.RecoveryStarted(
        stream.id,
        attempt=stream.attempt,
        remedy=SOFT,
        diagnosis=diagnosis,
        evidence=evidence,
        reason=reason,
        by=by,
        deadline=deadline,
    )
    with draft.because_of(draft.emit(started)):
        body = {"kind": "status_asked", "text": decision.text, "diagnosis": diagnosis}
        tell(draft, stream.id, body, deadline=deadline)


def asked(draft: Draft, fact: inputs.StreamAsked) -> None:
    """Record that the plan's own way of asking was used."""
    care = draft.stream(fact.stream).care
    if care.remedy == SOFT and not care.is_asked and care.cause == fact.cause:
        draft.emit(
            ev.StreamAsked(fact.stream, attempt=fact.attempt, way=fact.way, outcome=fact.outcome)
        )


def end_and_retry(draft: Draft, stream: Stream, by: str) -> None:
    """Take the second rung, unless a brake holds it or it is used up."""
    care, state = stream.care, draft.state
    if by == GUARDIAN:
        until = held_until(state, draft.now)
        if until is not None:
            _hold_back(draft, stream, until)
            return
    evidence = f"{care.evidence}; no sign within {state.plan.soft_grace_seconds:g} s"
    finish(draft, stream, "escalated", "no sign came")
    begin_hard(draft, draft.stream(stream.id), care.diagnosis, evidence, by)


def begin_hard(draft: Draft, stream: Stream, diagnosis: str, evidence: str, by: str) -> None:
    """End a stream's process tree; what it has done is kept before anything else happens."""
    view = trouble_of(draft.state, stream, diagnosis, evidence)
    decision = draft.strategies.remedy(HARD).remedy(view, draft.now)
    reason = decision.reason if isinstance(decision, EndAndRetry) else f"{diagnosis}: {evidence}"
    until = draft.now + draft.state.plan.recovery_timeout_seconds
    started = ev.RecoveryStarted(
        stream.id,
        attempt=stream.attempt,
        remedy=HARD,
        diagnosis=diagnosis,
        evidence=evidence,
        reason=reason,
        by=by,
        deadline=until,
    )
    with draft.because_of(draft.emit(started)):
        if stream.phase is Phase.RUNNING:
            draft.emit(
                ev.StreamStopRequested(
                    stream.id, attempt=stream.attempt, reason=reason, then=Phase.FAILED.value
                )
            )


def _hold_back(draft: Draft, stream: Stream, until: float) -> None:
    most = most_at_once(draft.state)
    ended = f"{counted(most, 'stream')} were ended within {INTENSITY_SECONDS:g} s"
    reason = f"{ended}: it may be the machine, not the streams"
    hint = f"look at the machine; anabranch recover {stream.id} hard does it now"
    draft.emit(
        ev.GuardianAlerted(
            stream.id,
            attempt=stream.attempt,
            diagnosis=stream.care.diagnosis,
            reason=reason,
            hint=hint,
            look_again_at=until,
        )
    )


def finish(draft: Draft, stream: Stream, outcome: str, reason: str) -> None:
    """Record how a remedy ended."""
    care = stream.care
    if care.remedy:
        seconds = draft.now - care.since
        draft.emit(
            ev.RecoveryFinished(
                stream.id,
                attempt=stream.attempt,
                remedy=care.remedy,
                outcome=outcome,
                reason=reason,
                seconds=seconds,
            )
        )


# --- after an attempt ------------------------------------------------------------------------


def after_attempt(
    draft: Draft, stream: Stream, decision: RecoveryDecision, why: str
) -> RecoveryDecision:
    """Return what follows an attempt without success, ``why`` it had none being known.

    A person's remedy is not a failure of the stream, so it needs no retry left; like the last
    resort it is one more try, and over if that cannot even begin. When the guardian's own are used
    up, the plan's fallback is next.
    """
    care = stream.care
    if not care.remedy or care.remedy == SOFT:
        return decision if isinstance(decision, Retry) else _failed(draft, stream, decision, why)
    if care.is_dropped:
        return GiveUp("dropped")
    if care.by == PERSON or care.is_last_resort:
        if stream.stop is None and stream.phase in (Phase.PREPARING, Phase.STARTING):
            return GiveUp(f"the attempt after the {care.remedy} recovery could not begin")
        return Retry(0.0, f"{care.remedy} recovery")
    if isinstance(decision, Retry):
        return decision
    return last_resort(draft, stream, decision.reason)


def _failed(draft: Draft, stream: Stream, decision: GiveUp, why: str) -> RecoveryDecision:
    """Decide what becomes of the run without a stream that failed by itself and for good.

    The fallback says so, if it drops the stream or ends the run. One that would try again has no
    say: as often as the plan allows it was tried, and it failed by itself each time.
    """
    state = draft.state
    if stream.care.fallback or state.stop_reason or state.stream_plan(stream.id).optional:
        return decision
    diagnosis = diagnosis_of_failure(stream)
    rung, remedy = _fallback(draft, stream, diagnosis, why)
    if not isinstance(remedy, Drop | EndRun):
        return decision
    return _use_fallback(draft, stream, rung, remedy, (diagnosis, why, GUARDIAN))


def last_resort(draft: Draft, stream: Stream, why: str) -> RecoveryDecision:
    """Take the last rung, which is there once; after that the guardian gives up, for all to see."""
    care = stream.care
    if care.fallback:
        return GiveUp(f"{why}, and so is the fallback ({care.fallback})")
    finish(draft, stream, "escalated", why)
    return begin_fallback(draft, draft.stream(stream.id), care.diagnosis, care.evidence, GUARDIAN)


def begin_fallback(
    draft: Draft, stream: Stream, diagnosis: str, evidence: str, by: str
) -> RecoveryDecision:
    """Use the plan's fallback for a stream; return what becomes of the attempt that is over."""
    rung, decision = _fallback(draft, stream, diagnosis, evidence)
    return _use_fallback(draft, stream, rung, decision, (diagnosis, evidence, by))


def _fallback(
    draft: Draft, stream: Stream, diagnosis: str, evidence: str
) -> tuple[str, RemedyDecision]:
    """Return the last rung's name, and what it would do."""
    rung = draft.strategies.remedy(draft.state.plan.fallback)
    view = trouble_of(draft.state, stream, diagnosis, evidence)
    return rung.name, rung.remedy(view, draft.now)


def _use_fallback(
    draft: Draft, stream: Stream, rung: str, decision: RemedyDecision, grounds: tuple[str, str, str]
) -> RecoveryDecision:
    state, (diagnosis, evidence, by) = draft.state, grounds
    why, drops = decision_reason(decision), isinstance(decision, Drop)
    started = ev.RecoveryStarted(
        stream.id,
        attempt=stream.attempt,
        remedy=rung,
        diagnosis=diagnosis,
        evidence=evidence,
        reason=why,
        by=by,
        deadline=None,
        drops=drops,
    )
    with draft.because_of(draft.emit(started)):
        if isinstance(decision, RunAlone):
            if state.guardian.narrowed_to is None and state.plan.max_parallel > 1:
                draft.emit(ev.ParallelismChanged(max_parallel=1, reason=decision.reason))
            return Retry(0.0, "alone this time")
        if isinstance(decision, EndAndRetry):
            return Retry(0.0, decision.reason)
        if isinstance(decision, EndRun) and not state.stop_reason and not state.has_ended:
            draft.emit(ev.RunStopRequested(reason=decision.reason))
    return GiveUp(decision_reason(decision))


def decision_reason(decision: RemedyDecision) -> str:
    """Return why a remedy does what it does, in words."""
    return decision.text if isinstance(decision, Ask) else decision.reason
