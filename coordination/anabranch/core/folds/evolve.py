"""Folding events into the state. Total: any event fits any state, nothing here can fail or refuse.

``evolve`` handles three kinds: events of the run, of a stream and of a convergence point. A
stream's phase moves only as :mod:`anabranch.core.model.lifecycle` says; the facts of streams
and points are added by :mod:`anabranch.core.folds.streams` and :mod:`anabranch.core.folds.points`.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace
from rpds import HashTrieMap

from anabranch.core import events as ev
from anabranch.core.folds import (
    breakers,
    checkpoints,
    choices,
    copies,
    effects_done,
    foreseen,
    fusion,
    gathering,
    growing,
    guardian,
    handlers,
    joined,
    liveness,
    locks,
    memory,
    messages,
    ordering,
    plugin_faults,
    questions,
    queues,
    resolutions,
    resources,
    reviews,
    sharing,
    slots,
    streams,
    teardowns,
    undoing,
    verifying,
    width,
    widths,
)
from anabranch.core.folds.answers import Answering, remember
from anabranch.core.folds.inheritance import results_of, to_inherit
from anabranch.core.folds.points import POINT_FOLDS
from anabranch.core.ids import StreamId
from anabranch.core.model.approval import Approval
from anabranch.core.model.lifecycle import ACTIVE, ENDED, Phase
from anabranch.core.model.state import (
    Base,
    Counts,
    Point,
    PointPhase,
    RunPhase,
    State,
    Stream,
)
from anabranch.core.plans.topology import Topology


def first_state(record: ev.Recorded) -> State:
    """Return the state after a run's first event."""
    event = record.event
    assert isinstance(event, ev.RunStarted)
    topology = Topology(event.plan)
    points = {
        p.id: Point(
            p.id, PointPhase.OPEN, record.at, record.seq, "waiting for its streams", record.at
        )
        for p in event.plan.points
    }
    return State(
        run=event.run,
        project=event.project,
        plan_path=event.plan_path,
        topology=topology,
        started_wall=event.wall,
        seq=record.seq,
        at=record.at,
        points=HashTrieMap(points),
        approval=Approval(event.approve, allow_sensitive=event.allow_sensitive),
        warnings=event.warnings,
    )


def evolve(state: State, record: ev.Recorded) -> State:
    """Return the state after one event."""
    event, before, active = record.event, state.at, state.counts.active
    if isinstance(event, ev.StreamEvent):
        state = _evolve_stream(state, record, event)
    elif isinstance(event, ev.PointEvent):
        state = _evolve_point(state, record, event)
    else:
        state = _RUN[type(event)](state, record, event) if type(event) in _RUN else state
    if isinstance(event, ev.Requested) and event.request and type(event) in _ANSWERS:
        state = remember(state, event, _ANSWERS[type(event)](state, record, event))
        state = copies.acted(state, event) if state.topology.repeated else state
    return replace(
        state,
        seq=record.seq,
        at=record.at,
        active_seconds=state.active_seconds + active * (record.at - before),
        effects=effects_done.counted(state.effects, event),
    )


# --- the run -------------------------------------------------------------------------------------


def _base_captured(state: State, record: ev.Recorded, event: ev.BaseCaptured) -> State:
    base = Base(event.commit, event.tree, event.branch, event.head, event.included)
    return replace(state, base=base)


def _run_resumed(state: State, record: ev.Recorded, event: ev.RunResumed) -> State:
    return guardian.with_more_time(replace(state, adoptions=state.adoptions + 1), record)


def _run_reopened(state: State, record: ev.Recorded, event: ev.RunReopened) -> State:
    return replace(
        state,
        phase=RunPhase.RUNNING,
        reason=event.reason,
        hint="",
        proof="",
        cause=record.seq,
        ended_at=None,
        stop_reason=None,
        first_failure=None,
        # What was approved is the result that was there; the next one is approved by itself.
        approval=replace(
            state.approval,
            is_requested=state.approval.is_requested and not state.approval.is_done,
            is_done=False,
            message="",
            hint="",
            kind="",
        ),
    )


def _run_stop_requested(state: State, record: ev.Recorded, event: ev.RunStopRequested) -> State:
    return replace(
        state,
        phase=RunPhase.STOPPING,
        reason=event.reason,
        stop_reason=event.reason,
        cause=record.seq,
    )


_Ended = ev.RunNeedsOperator | ev.RunConverged | ev.RunFailed | ev.RunStopped
_ENDED_AS: dict[type[ev.Event], RunPhase] = {
    ev.RunNeedsOperator: RunPhase.NEEDS_OPERATOR,
    ev.RunConverged: RunPhase.CONVERGED,
    ev.RunFailed: RunPhase.FAILED,
    ev.RunStopped: RunPhase.STOPPED,
}


def _run_ended(state: State, record: ev.Recorded, event: _Ended) -> State:
    proof = "" if isinstance(event, ev.RunConverged) else event.proof
    return replace(
        state,
        phase=_ENDED_AS[type(event)],
        reason=event.reason,
        hint=event.hint if isinstance(event, ev.RunNeedsOperator) else "",
        proof=proof or event.reason,
        cause=record.seq,
        ended_at=record.at,
    )


def _overhead_seen(
    state: State, record: ev.Recorded, event: ev.OverheadExceeded | ev.OverheadWithin
) -> State:
    return replace(state, costs_too_much=isinstance(event, ev.OverheadExceeded))


def _approval_requested(state: State, record: ev.Recorded, event: ev.ApprovalRequested) -> State:
    asked = Approval(True, allow_sensitive=event.allow_sensitive, onto=event.onto)
    return replace(state, approval=asked, cause=record.seq)


def _run_approved(state: State, record: ev.Recorded, event: ev.RunApproved) -> State:
    return replace(state, approval=Approval(True, True, event.message), cause=record.seq)


def _approval_refused(state: State, record: ev.Recorded, event: ev.ApprovalRefused) -> State:
    refused = Approval(False, False, event.reason, event.hint, kind=event.kind)
    return replace(state, approval=refused, cause=record.seq)


def _old_runs_removed(state: State, record: ev.Recorded, event: ev.OldRunsRemoved) -> State:
    return replace(state, kept_runs=event.kept)


_RUN: dict[type[ev.Event], Callable[[State, ev.Recorded, Any], State]] = {
    ev.BaseCaptured: _base_captured,
    ev.RunResumed: _run_resumed,
    ev.RunReopened: _run_reopened,
    ev.RunStopRequested: _run_stop_requested,
    **dict.fromkeys(_ENDED_AS, _run_ended),
    ev.OverheadExceeded: _overhead_seen,
    ev.OverheadWithin: _overhead_seen,
    ev.ApprovalRequested: _approval_requested,
    ev.RunApproved: _run_approved,
    ev.ApprovalRefused: _approval_refused,
    ev.OldRunsRemoved: _old_runs_removed,
    **growing.FOLDS,
    **sharing.FOLDS,
    **undoing.FOLDS,
    **locks.FOLDS,
    **checkpoints.FOLDS,
    **messages.FOLDS,
    **questions.FOLDS,
    **ordering.FOLDS,
    **joined.FOLDS,
    **resolutions.FOLDS,
    **foreseen.FOLDS,
    **resources.FOLDS,
    **liveness.FOLDS,
    **width.FOLDS,
    **breakers.FOLDS,
    **choices.FOLDS,
    **plugin_faults.FOLDS,
    **handlers.FOLDS,
    **queues.FOLDS,
}


_ANSWERS: dict[type[ev.Event], Answering] = {
    **sharing.ANSWERS,
    **undoing.ANSWERS,
    **locks.ANSWERS,
    **checkpoints.ANSWERS,
    **messages.ANSWERS,
    **questions.ANSWERS,
    **gathering.ANSWERS,
    **joined.ANSWERS,
    **resources.ANSWERS,
    **liveness.ANSWERS,
}
"""What the events of calls answer, one table a concern."""


_ALSO: dict[type[ev.StreamEvent], Callable[[State, ev.Recorded, Any], State]] = {
    **guardian.ALSO,
    **breakers.ALSO,
    **handlers.ALSO,
    **widths.ALSO,
    **fusion.ALSO,
    **reviews.ALSO,
    **teardowns.ALSO,
}
"""What an event about a stream changes about the run."""


# --- streams -------------------------------------------------------------------------------------


def _evolve_stream(state: State, record: ev.Recorded, event: ev.StreamEvent) -> State:
    if type(event) in copies.FOLDS:
        return copies.FOLDS[type(event)](state, record, event)
    if len(state.copies) and copies.is_of_copy(state, event):
        return copies.evolved(state, record, event)
    before = state.streams.get(event.stream)
    if before is None:
        after = Stream(event.stream, Phase.WAITING, record.at, record.seq, "registered")
    else:
        after = streams.moved(before, record, event)
        if isinstance(event, ev.StreamAdmitted):
            after = replace(after, inherits=to_inherit(state, event.stream))
            is_job = not state.stream_plan(event.stream).is_service
            if before.phase is Phase.QUEUED and is_job:
                slot = slots.slot_for(state.slots, event)
                after = replace(after, slot=slot.number, incarnation=slot.incarnation + 1)
    state = _with_stream(state, before, after, record.at)
    also = _ALSO.get(type(event))
    return also(state, record, event) if also is not None else state


def _with_stream(state: State, before: Stream | None, after: Stream, at: float) -> State:
    old = before.phase if before else None
    changed: dict[str, Any] = {"streams": state.streams.insert(after.id, after)}
    if old is not after.phase:
        is_service = state.stream_plan(after.id).is_service
        changed["counts"] = _recount(state.counts, old, after.phase, is_service=is_service)
        if not is_service:
            changed["slots"] = slots.moved(state.slots, after, old in ACTIVE, at)
        if old is Phase.QUEUED or after.phase is Phase.QUEUED:
            changed["ready"] = _requeue(state, before, after)
        if old in queues.NOT_STARTED:
            changed["queues"] = queues.moved(state.queues, after)
        if old is None or (old in ENDED) != after.has_ended:
            changed["messages"] = messages.stream_moved(
                state.messages, after.id, has_ended=after.has_ended
            )
        if after.phase is Phase.FAILED and not state.first_failure:
            changed["first_failure"] = _failure_that_counts(state, after)
        elif state.first_failure == after.id:
            changed["first_failure"] = None
    if after.memory.is_alone or state.alone:
        changed["alone"] = memory.listed(state.alone, after)
    return replace(state, **changed)


def _failure_that_counts(state: State, stream: Stream) -> StreamId | None:
    does_count = not state.stream_plan(stream.id).optional and not stream.care.is_dropped
    return stream.id if does_count else None


def _recount(counts: Counts, old: Phase | None, new: Phase, *, is_service: bool) -> Counts:
    def step(phases: frozenset[Phase]) -> int:
        return (new in phases) - (old in phases)

    return Counts(
        active=counts.active + (0 if is_service else step(ACTIVE)),
        services=counts.services + (step(ACTIVE) if is_service else 0),
        ended=counts.ended + step(ENDED),
        blocked=counts.blocked + step(frozenset({Phase.BLOCKED})),
        retrying=counts.retrying + step(frozenset({Phase.RETRYING})),
    )


def _requeue(
    state: State, before: Stream | None, after: Stream
) -> tuple[tuple[tuple[float, ...], int, StreamId], ...]:
    queue = list(state.ready)
    position = state.topology.position[after.id]
    if before is not None and before.phase is Phase.QUEUED:
        queue.remove((before.rank, position, before.id))
    if after.phase is Phase.QUEUED:
        insort(queue, (after.rank, position, after.id))
    return tuple(queue)


# --- convergence ---------------------------------------------------------------------------------


def _evolve_point(state: State, record: ev.Recorded, event: ev.PointEvent) -> State:
    before = state.points.get(event.point)
    fold = POINT_FOLDS.get(type(event))
    if before is None or fold is None:
        return state
    after = fold(before, record, event)
    if after.phase is not before.phase:
        after = replace(after, since=record.at, cause=record.seq)
    if isinstance(event, ev.ConvergenceMerged):
        after = replace(after, holds=results_of(state, event.merged), merge_cause=before.cause)
    state = replace(state, points=state.points.insert(after.id, after))
    if after.gathering is not before.gathering:
        state = gathering.with_waits_over(state, before.gathering, after.gathering, record.at)
    also = verifying.ALSO.get(type(event))
    return also(state, record, event) if also is not None else state
