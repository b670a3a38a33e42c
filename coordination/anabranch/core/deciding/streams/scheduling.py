"""Decisions about who is ready: dependencies, the queue, and what can never run.

Every wait in here has an answer to "what if it can never happen": a stream whose dependency ended
in a way that its condition excludes is skipped, with the reason, and so are those behind it.
"""

from __future__ import annotations

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding import joined, resources
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.streams import ranking, windows
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import PointPhase, State, Stream
from anabranch.core.plans.plan import Dependency, DependencyCondition


def reconsider(draft: Draft, stream_id: StreamId) -> None:
    """Queue or skip a waiting stream if what it waits for is there, or can never come.

    One that is queued or delayed is skipped too, if what it needs has been taken away again.
    """
    stream = draft.stream(stream_id)
    if stream.phase not in (Phase.WAITING, Phase.QUEUED, Phase.RETRYING):
        return
    plan = draft.state.stream_plan(stream_id)
    unmet = 0
    for dependency in plan.depends_on:
        never = why_never(draft.state, dependency)
        if never:
            draft.emit(
                ev.StreamSkipped(stream_id, reason=never, because_of=dependency.stream or None)
            )
            return
        unmet += not is_met(draft.state, dependency)
    if stream.phase is not Phase.WAITING:
        return
    never = None if unmet else resources.why_never(draft.state, stream_id, plan.resources)
    if never:
        draft.emit(ev.StreamSkipped(stream_id, reason=never))
    elif not windows.holds_back(draft, stream, is_awaited=not unmet) and not unmet:
        enqueue(draft, stream)


def time_found(draft: Draft, fact: inputs.TimeFound) -> None:
    """Queue a stream whose time of day has come."""
    if windows.has_come(draft, fact):
        enqueue(draft, draft.stream(fact.stream))


def is_met(state: State, dependency: Dependency) -> bool:
    """Return whether a dependency's condition holds now."""
    condition = dependency.condition
    if dependency.point and condition != "started":
        return state.points[dependency.point].phase is PointPhase.MERGED
    if any(_is_met_by(state, other, condition) for other in dependency.streams):
        return True
    return bool(dependency.capability) and joined.is_met(state, dependency)


def _is_met_by(state: State, stream: StreamId, condition: DependencyCondition) -> bool:
    other = state.streams[stream]
    match condition:
        case "succeeded":
            return other.phase is Phase.SUCCEEDED
        case "completed":
            return other.has_ended
        case "started":
            return other.first_started_at is not None or other.phase is Phase.SUCCEEDED
        case "ready":
            return other.is_ready
        case "converged":
            points = (state.points[p] for p in state.stream_plan(other.id).points)
            return all(other.id in point.merged for point in points)


def why_never(state: State, dependency: Dependency) -> str | None:
    """Return why a dependency's condition can never hold any more, or None if it still can."""
    if dependency.point:
        point = state.points[dependency.point]
        is_over = point.phase is PointPhase.ABANDONED and not is_met(state, dependency)
        return f"nobody is adopted at {point.id}: {point.reason}" if is_over else None
    if dependency.condition == "completed" and not dependency.capability:
        return None
    if not dependency.capability:
        return _why_never_by(state, dependency.stream, dependency.condition)
    if joined.may_still_meet(state, dependency):
        return None
    reasons = [_why_never_by(state, s, dependency.condition) for s in dependency.streams]
    known = [reason for reason in reasons if reason]
    if len(known) < len(reasons):
        return None
    return f"needs {dependency.words}: {'; '.join(known[:3]) or 'none is left that could be it'}"


def _why_never_by(state: State, stream: StreamId, condition: DependencyCondition) -> str | None:
    other = state.streams[stream]
    if condition == "completed" or _is_met_by(state, stream, condition):
        return None
    if condition == "converged":
        for point in (state.points[p] for p in state.stream_plan(other.id).points):
            if other.id in point.merged:
                continue
            if point.phase is PointPhase.ABANDONED:
                return f"{point.id} never converges: {point.reason}"
            if point.phase is PointPhase.MERGED:
                return f"{point.id} converged without {other.id}"
    if condition == "ready" and other.has_ended:
        return None if other.serving.let_go else f"needs {other.id}, which {_ended_how(other)}"
    if other.has_ended and other.phase is not Phase.SUCCEEDED:
        return f"needs {other.id}, which {_ended_how(other)}"
    return None


def _ended_how(stream: Stream) -> str:
    verb = {
        Phase.SUCCEEDED: "has ended",
        Phase.FAILED: "failed",
        Phase.STOPPED: "was stopped",
        Phase.SKIPPED: "was skipped",
    }
    return verb.get(stream.phase, f"was {stream.phase}")


def enqueue(draft: Draft, stream: Stream) -> None:
    """Put a stream into the queue, at the place that the load balancer gives it."""
    not_before, why = windows.opening(draft.state, stream, draft.now)
    rank = ranking.rank_of_next(draft, stream)
    attempt = draft.state.speculation.newest(stream.id, stream.attempt) + 1
    draft.emit(
        ev.StreamQueued(stream.id, attempt=attempt, rank=rank, not_before=not_before, window=why)
    )


def give_up_the_rest(draft: Draft) -> None:
    """Start nothing new after a failure that counts, unless the plan keeps going."""
    state = draft.state
    failed = state.first_failure
    if failed is None or state.plan.keep_going or state.has_ended:
        return
    reason = f"{failed} failed, so nothing new was started (--keep-going runs the rest)"
    for plan in state.plan.streams:
        if state.streams[plan.id].phase in (Phase.WAITING, Phase.QUEUED):
            draft.emit(ev.StreamSkipped(plan.id, reason=reason, because_of=failed))


def call_off_the_rest(draft: Draft, reason: str) -> None:
    """Start nothing any more after a conflict that ends the run."""
    for plan in draft.state.plan.streams:
        if draft.stream(plan.id).phase in (Phase.WAITING, Phase.QUEUED, Phase.RETRYING):
            draft.emit(ev.StreamSkipped(plan.id, reason=f"called off: {reason}"))


def retry_due(draft: Draft, stream: Stream) -> None:
    """Queue a stream whose delay is over."""
    if stream.phase is Phase.RETRYING and draft.now >= stream.not_before:
        enqueue(draft, stream)


def comes_back_with(state: State, stream: StreamId) -> list[StreamId]:
    """Return the streams that are tried again with one: skipped or left out behind it."""
    behind = (Phase.SKIPPED, Phase.QUARANTINED)
    family = state.topology.in_merge_order(state.topology.descendants(stream))
    return [s for s in family if state.streams[s].phase in behind]
