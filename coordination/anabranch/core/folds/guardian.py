"""What the guardian's events change about streams, points and the run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.model.guardian import PERSON, Care
from anabranch.core.model.state import Point, State, Stream
from anabranch.core.strategies.rungs import HARD, SOFT

KEPT = 32


def _started(s: Stream, record: ev.Recorded, event: ev.RecoveryStarted, spent: float) -> Stream:
    before = s.care
    is_own, is_last = event.by != PERSON, event.remedy not in (SOFT, HARD)
    care = Care(
        remedy=event.remedy,
        diagnosis=event.diagnosis,
        evidence=event.evidence,
        by=event.by,
        since=record.at,
        deadline=event.deadline,
        cause=record.seq,
        hard_recoveries=before.hard_recoveries + (is_own and event.remedy == HARD),
        fallback=event.remedy if is_own and is_last else before.fallback,
        is_dropped=event.drops,
        answers=before.answers,
        answered_at=before.answered_at,
    )
    return replace(s, care=care, reason=event.reason)


def _finished(s: Stream, record: ev.Recorded, event: ev.RecoveryFinished, spent: float) -> Stream:
    """Forget the evidence: the event has it, and a stream that is well again bears none."""
    care = replace(s.care, remedy="", deadline=None, outcome=event.outcome, alert="", hint="")
    if event.outcome != "gave_up":
        care = replace(care, diagnosis="", evidence="")
    if (event.remedy, event.outcome) == (SOFT, "recovered") and not _has_promised(s):
        care = replace(care, answers=care.answers + 1, answered_at=record.at)
    return replace(s, care=care)


def _has_promised(s: Stream) -> bool:
    """Return whether the sign was a heartbeat."""
    beat_at = s.liveness.status_at
    return beat_at is not None and beat_at >= s.care.since


def _asked(s: Stream, record: ev.Recorded, event: ev.StreamAsked, spent: float) -> Stream:
    return replace(s, care=replace(s.care, is_asked=True))


def _alerted(s: Stream, record: ev.Recorded, event: ev.GuardianAlerted, spent: float) -> Stream:
    care = replace(
        s.care,
        diagnosis=event.diagnosis,
        alert=event.reason,
        hint=event.hint,
        deadline=event.look_again_at,
        cause=record.seq,
    )
    return replace(s, care=care)


def _counted(state: State, record: ev.Recorded, event: ev.RecoveryStarted) -> State:
    """Remember when the guardian has ended streams, over the whole run."""
    if event.remedy != HARD or event.by == PERSON:
        return state
    hard_at = (*state.guardian.hard_at, record.at)[-KEPT:]
    return replace(state, guardian=replace(state.guardian, hard_at=hard_at))


def with_more_time(state: State, record: ev.Recorded) -> State:
    """Return the state after another engine took over: nobody looked, so all time is new."""
    streams, plan = state.streams, state.plan
    for stream in streams.values():
        if stream.care.deadline is not None:
            is_question = stream.care.remedy == SOFT
            more = plan.soft_grace_seconds if is_question else plan.recovery_timeout_seconds
            care = replace(stream.care, deadline=record.at + more, cause=record.seq)
            streams = streams.insert(stream.id, replace(stream, care=care))
    return replace(state, streams=streams)


def _overdue(point: Point, record: ev.Recorded, event: ev.ConvergenceOverdue) -> Point:
    return replace(point, is_overdue=True)


STREAM_FOLDS: dict[type[ev.StreamEvent], Callable[[Stream, ev.Recorded, Any, float], Stream]] = {
    ev.RecoveryStarted: _started,
    ev.RecoveryFinished: _finished,
    ev.GuardianAlerted: _alerted,
    ev.StreamAsked: _asked,
}

POINT_FOLDS: dict[type[ev.PointEvent], Callable[[Point, ev.Recorded, Any], Point]] = {
    ev.ConvergenceOverdue: _overdue,
}

ALSO: dict[type[ev.StreamEvent], Callable[[State, ev.Recorded, Any], State]] = {
    ev.RecoveryStarted: _counted,
}
"""What an event about a stream changes about the run."""
