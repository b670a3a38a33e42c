"""Decisions about who runs when: dependencies, the queue, and free slots.

Every wait in here has an answer to "what if it can never happen": a stream whose dependency ended
in a way that its condition excludes is skipped, with the reason, and so are those behind it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding import joined, resources
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.guardian import breakers
from anabranch.core.deciding.streams import windows
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.slots import Slot, free_slots
from anabranch.core.model.state import PointPhase, State, Stream
from anabranch.core.plans.plan import Dependency, DependencyCondition
from anabranch.core.strategies import QueuedStream


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
        case "converged":
            points = (state.points[p] for p in state.stream_plan(other.id).points)
            return all(other.id in point.merged for point in points)


def why_never(state: State, dependency: Dependency) -> str | None:
    """Return why a dependency's condition can never hold any more, or None if it still can."""
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
    if other.has_ended and other.phase is not Phase.SUCCEEDED:
        return f"needs {other.id}, which {_ended_how(other)}"
    return None


def _ended_how(stream: Stream) -> str:
    verb = {Phase.FAILED: "failed", Phase.STOPPED: "was stopped", Phase.SKIPPED: "was skipped"}
    return verb.get(stream.phase, f"was {stream.phase}")


def queued_view(state: State, stream: Stream, attempt: Attempt, queued_at: float) -> QueuedStream:
    """Return what a load balancer sees of a stream that is ready since a moment."""
    plan, topology = state.stream_plan(stream.id), state.topology
    return QueuedStream(
        stream=stream.id,
        position=topology.position[stream.id],
        priority=plan.priority,
        estimate_seconds=plan.estimate_seconds,
        remaining_path_seconds=topology.path_seconds[stream.id],
        attempt=attempt,
        estimate_basis=plan.estimate_basis,
        long_seconds=plan.long_seconds,
        waiters=topology.waiters[stream.id],
        mean_seconds=topology.mean_seconds,
        max_parallel=state.max_parallel,
        queued_at=queued_at,
        depends_on=tuple(other for d in plan.depends_on for other in d.streams),
        capabilities=plan.capabilities,
        resources=plan.resources,
    )


def rank_anew(draft: Draft, reason: str) -> None:
    """Have the load balancer rank again all that are ready; note it if the order changes."""
    state, ranks = draft.state, {}
    balancer = draft.strategies.balancer(state.plan.balancer)
    for _, _, name in state.ready:
        stream = state.streams[name]
        ranks[name] = balancer.rank(queued_view(state, stream, stream.attempt, stream.since))
    before = [name for _, _, name in state.ready]
    if before != sorted(before, key=lambda name: (ranks[name], state.topology.position[name])):
        draft.emit(ev.QueueRanked(ranks=ranks, reason=reason))


def enqueue(draft: Draft, stream: Stream) -> None:
    """Put a stream into the queue, at the place that the load balancer gives it."""
    not_before, why = windows.opening(draft.state, stream, draft.now)
    view = queued_view(draft.state, stream, stream.attempt + 1, draft.now)
    rank = draft.strategies.balancer(draft.state.plan.balancer).rank(view)
    draft.emit(
        ev.StreamQueued(
            stream.id, attempt=stream.attempt + 1, rank=rank, not_before=not_before, window=why
        )
    )


def admit(draft: Draft) -> None:
    """Give free slots to the head of the queue."""
    state = draft.state
    if state.base is None or state.has_ended or state.stop_reason:
        return
    free = state.max_parallel - state.counts.active
    if free <= 0:
        return
    reserved = resources.reservations(state, draft.now)
    slots = islice(free_slots(state.slots, state.max_parallel), free)
    slot = next(slots)
    for _, _, stream_id in state.ready:
        stream = state.streams[stream_id]
        if stream.not_before > draft.now or _is_kept_waiting(draft, stream, reserved):
            continue
        _admit(draft, stream, slot, f"the first that may start, by {state.plan.balancer}")
        following = next(slots, None)
        if following is None:
            return
        slot = following


def _admit(draft: Draft, stream: Stream, slot: Slot, reason: str) -> None:
    """Give a stream a slot, and what its plan asks for."""
    # It was queued just now, or waited for the slot that something else has just left.
    with draft.because_of(max(stream.cause, draft.cause or 0)):
        draft.emit(
            ev.StreamAdmitted(
                stream.id,
                attempt=stream.attempt,
                slot=slot.number,
                incarnation=slot.incarnation + 1,
                placed_because=reason,
            )
        )
        resources.grant_to_admitted(draft, stream)


def _is_kept_waiting(
    draft: Draft, stream: Stream, reserved: Iterable[resources.Reservation]
) -> bool:
    """Say whether a breaker or the machine has no room for a stream; skip it if it never will."""
    never = resources.why_never(
        draft.state, stream.id, draft.state.stream_plan(stream.id).resources
    )
    if never:
        draft.emit(ev.StreamSkipped(stream.id, reason=never))
        return True
    if breakers.why_not_admitted(draft.state, stream) is not None:
        return True
    return resources.why_not_admitted(draft.state, stream, reserved) is not None


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
