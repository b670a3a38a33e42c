"""Folding events into the state. Total: any event fits any state, nothing here can fail or refuse.

``evolve`` handles three kinds: events of the run, of a stream and of a convergence point. A
stream's phase moves only as :mod:`anabranch.core.lifecycle` says; the functions here add the facts.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace
from rpds import HashTrieMap

from anabranch.core import (
    checkpoints,
    gathering,
    liveness_folds,
    lock_events,
    mailboxes,
    registry,
    resource_table,
    state_versions,
)
from anabranch.core import events as ev
from anabranch.core.answers import Answering, remember
from anabranch.core.ids import StreamId
from anabranch.core.inheritance import to_inherit
from anabranch.core.lifecycle import ACTIVE, ENDED, Phase, next_phase
from anabranch.core.state import (
    Approval,
    Base,
    Counts,
    Exit,
    Liveness,
    Point,
    PointPhase,
    Result,
    RunPhase,
    Spent,
    State,
    StopRequest,
    Stream,
    Workspace,
)
from anabranch.core.topology import Topology
from anabranch.core.wording import counted


def first_state(record: ev.Recorded) -> State:
    """Return the state after a run's first event."""
    event = record.event
    assert isinstance(event, ev.RunStarted)
    topology = Topology(event.plan)
    points = {
        p.id: Point(p.id, PointPhase.OPEN, record.at, record.seq, "waiting for its streams")
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
        approval=Approval(is_requested=event.approve),
    )


def evolve(state: State, record: ev.Recorded) -> State:
    """Return the state after one event."""
    event = record.event
    if isinstance(event, ev.StreamEvent):
        state = _evolve_stream(state, record, event)
    elif isinstance(event, ev.PointEvent):
        state = _evolve_point(state, record, event)
    else:
        state = _RUN[type(event)](state, record, event) if type(event) in _RUN else state
    if isinstance(event, ev.Requested) and event.request and type(event) in _ANSWERS:
        state = remember(state, event, _ANSWERS[type(event)](state, record))
    return replace(state, seq=record.seq, at=record.at)


# --- the run -------------------------------------------------------------------------------------


def _base_captured(state: State, record: ev.Recorded, event: ev.BaseCaptured) -> State:
    return replace(state, base=Base(event.commit, event.tree, event.branch, event.head))


def _run_resumed(state: State, record: ev.Recorded, event: ev.RunResumed) -> State:
    return replace(state, adoptions=state.adoptions + 1)


def _run_reopened(state: State, record: ev.Recorded, event: ev.RunReopened) -> State:
    return replace(
        state,
        phase=RunPhase.RUNNING,
        reason=event.reason,
        hint="",
        cause=record.seq,
        ended_at=None,
        stop_reason=None,
        first_failure=None,
        # What was approved is the result that was there; the next one is approved by itself.
        approval=Approval(is_requested=state.approval.is_requested and not state.approval.is_done),
    )


def _run_stop_requested(state: State, record: ev.Recorded, event: ev.RunStopRequested) -> State:
    return replace(
        state,
        phase=RunPhase.STOPPING,
        reason=event.reason,
        stop_reason=event.reason,
        cause=record.seq,
    )


def _run_ended(phase: RunPhase) -> Callable[[State, ev.Recorded, Any], State]:
    def fold(state: State, record: ev.Recorded, event: Any) -> State:
        return replace(
            state,
            phase=phase,
            reason=getattr(event, "reason", ""),
            hint=getattr(event, "hint", ""),
            cause=record.seq,
            ended_at=record.at,
        )

    return fold


def _approval_requested(state: State, record: ev.Recorded, event: Any) -> State:
    return replace(state, approval=Approval(is_requested=True), cause=record.seq)


def _run_approved(state: State, record: ev.Recorded, event: ev.RunApproved) -> State:
    return replace(state, approval=Approval(True, True, event.message), cause=record.seq)


def _approval_refused(state: State, record: ev.Recorded, event: ev.ApprovalRefused) -> State:
    refused = Approval(False, False, event.reason, event.hint)
    return replace(state, approval=refused, cause=record.seq)


_RUN: dict[type[ev.Event], Callable[[State, ev.Recorded, Any], State]] = {
    ev.BaseCaptured: _base_captured,
    ev.RunResumed: _run_resumed,
    ev.RunReopened: _run_reopened,
    ev.RunStopRequested: _run_stop_requested,
    ev.RunNeedsOperator: _run_ended(RunPhase.NEEDS_OPERATOR),
    ev.RunConverged: _run_ended(RunPhase.CONVERGED),
    ev.RunFailed: _run_ended(RunPhase.FAILED),
    ev.RunStopped: _run_ended(RunPhase.STOPPED),
    ev.ApprovalRequested: _approval_requested,
    ev.RunApproved: _run_approved,
    ev.ApprovalRefused: _approval_refused,
    **state_versions.FOLDS,
    **lock_events.FOLDS,
    **checkpoints.FOLDS,
    **mailboxes.FOLDS,
    **registry.FOLDS,
    **resource_table.FOLDS,
    **liveness_folds.FOLDS,
}


_ANSWERS: dict[type[Any], Answering] = {
    **state_versions.ANSWERS,
    **lock_events.ANSWERS,
    **checkpoints.ANSWERS,
    **mailboxes.ANSWERS,
    **gathering.ANSWERS,
    **registry.ANSWERS,
    **resource_table.ANSWERS,
    **liveness_folds.ANSWERS,
}
"""What the events of calls answer, one table a concern."""


# --- streams -------------------------------------------------------------------------------------


def _evolve_stream(state: State, record: ev.Recorded, event: ev.StreamEvent) -> State:
    before = state.streams.get(event.stream)
    if before is None:
        after = Stream(event.stream, Phase.WAITING, record.at, record.seq, "registered")
    else:
        after = before
        phase = next_phase(before.phase, event)
        if phase is not before.phase:
            after = replace(after, phase=phase, since=record.at, cause=record.seq)
        fold = _STREAM.get(type(event))
        if fold is not None:
            after = fold(after, record, event, record.at - before.since)
        if isinstance(event, ev.StreamAdmitted):
            after = replace(after, inherits=to_inherit(state, event.stream))
    return _with_stream(state, before, after)


def _with_stream(state: State, before: Stream | None, after: Stream) -> State:
    old = before.phase if before else None
    changed: dict[str, Any] = {"streams": state.streams.insert(after.id, after)}
    if old is not after.phase:
        changed["counts"] = _recount(state.counts, old, after.phase)
        if old is Phase.QUEUED or after.phase is Phase.QUEUED:
            changed["ready"] = _requeue(state, before, after)
        if old is None or (old in ENDED) != after.has_ended:
            changed["messages"] = mailboxes.stream_moved(
                state.messages, after.id, has_ended=after.has_ended
            )
        if after.phase is Phase.FAILED and not state.first_failure:
            changed["first_failure"] = _failure_that_counts(state, after.id)
        elif state.first_failure == after.id:
            changed["first_failure"] = None
    return replace(state, **changed)


def _failure_that_counts(state: State, stream: StreamId) -> StreamId | None:
    return None if state.stream_plan(stream).optional else stream


def _recount(counts: Counts, old: Phase | None, new: Phase) -> Counts:
    def step(phases: frozenset[Phase]) -> int:
        return (new in phases) - (old in phases)

    return Counts(
        active=counts.active + step(ACTIVE),
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


def _queued(s: Stream, record: ev.Recorded, event: ev.StreamQueued, spent: float) -> Stream:
    return replace(
        s,
        attempt=event.attempt,
        rank=event.rank,
        not_before=event.not_before,
        reason="ready; waiting for a slot",
        stop=None,
        exit=None,
        failure=None,
        workspace=None,
        pid=None,
        holder_pid=None,
        started_at=None,
        ended_at=None,
        liveness=Liveness(),
    )


def _admitted(s: Stream, record: ev.Recorded, event: ev.StreamAdmitted, spent: float) -> Stream:
    return replace(s, reason="preparing its workspace")


def _prepared(s: Stream, record: ev.Recorded, event: ev.WorkspacePrepared, spent: float) -> Stream:
    return replace(
        s,
        workspace=Workspace(event.path, event.start_commit, event.start_tree),
        warnings=event.warnings,
        reason="starting its process",
        spent=replace(s.spent, preparing=s.spent.preparing + spent),
    )


def _started(s: Stream, record: ev.Recorded, event: ev.StreamStarted, spent: float) -> Stream:
    first = s.first_started_at
    return replace(
        s,
        pid=event.pid,
        holder_pid=event.holder_pid,
        log=event.log,
        started_at=event.happened_at,
        first_started_at=event.happened_at if first is None else first,
        reason=f"process {event.pid} runs",
        spent=replace(s.spent, starting=s.spent.starting + spent),
    )


def _delayed(s: Stream, record: ev.Recorded, event: ev.StreamDelayed, spent: float) -> Stream:
    return replace(s, reason=f"{event.reason}; trying again")


def _stop_requested(
    s: Stream, record: ev.Recorded, event: ev.StreamStopRequested, spent: float
) -> Stream:
    return replace(
        s, stop=StopRequest(event.reason, event.then), reason=f"stopping: {event.reason}"
    )


def _exited(s: Stream, record: ev.Recorded, event: ev.StreamExited, spent: float) -> Stream:
    began = event.happened_at if s.started_at is None else s.started_at
    has_run = event.error is None and s.first_started_at is None
    worked = max(0.0, event.happened_at - began)
    return replace(
        s,
        first_started_at=began if has_run else s.first_started_at,
        exit=Exit(
            event.exit_code, event.signal, event.error, survivors_ended=event.survivors_ended
        ),
        ended_at=event.happened_at,
        reason="keeping its work",
        spent=replace(s.spent, working=s.spent.working + worked),
    )


def _lost(s: Stream, record: ev.Recorded, event: ev.StreamLost, spent: float) -> Stream:
    worked = max(0.0, record.at - (s.started_at or record.at))
    return replace(
        s,
        exit=Exit(lost=True),
        failure=event.reason,
        ended_at=record.at,
        reason=f"{event.reason}; keeping its work",
        spent=replace(s.spent, working=s.spent.working + worked),
    )


def _attempt_failed(
    s: Stream, record: ev.Recorded, event: ev.AttemptFailed, spent: float
) -> Stream:
    return replace(s, failure=event.reason, reason=event.reason)


def _result(s: Stream, record: ev.Recorded, event: ev.ResultCaptured, spent: float) -> Stream:
    at = s.workspace
    result = Result(
        commit=event.commit,
        tree=event.tree,
        start_commit=at.start_commit if at else event.commit,
        start_tree=at.start_tree if at else event.tree,
        files_changed=event.files_changed,
        ref=event.ref,
    )
    warnings = (*s.warnings, *(w for w in event.warnings if w not in s.warnings))
    return replace(s, result=result, warnings=warnings, spent=_captured(s, spent))


def _partial(s: Stream, record: ev.Recorded, event: ev.PartialCaptured, spent: float) -> Stream:
    kept = s.partial if event.ref in s.partial else (*s.partial, event.ref)
    return replace(s, partial=kept, spent=_captured(s, spent))


def _captured(s: Stream, spent: float) -> Spent:
    return replace(s.spent, capturing=s.spent.capturing + spent)


def _retry(s: Stream, record: ev.Recorded, event: ev.RetryScheduled, spent: float) -> Stream:
    return replace(
        s, not_before=event.retry_at, retries=s.retries + 1, reason=event.reason, stop=None
    )


def _ended(s: Stream, record: ev.Recorded, event: Any, spent: float) -> Stream:
    return replace(s, reason=event.reason)


def _skipped(s: Stream, record: ev.Recorded, event: ev.StreamSkipped, spent: float) -> Stream:
    return replace(s, reason=event.reason, skipped_because_of=event.because_of)


def _requeued(s: Stream, record: ev.Recorded, event: ev.StreamRequeued, spent: float) -> Stream:
    return replace(
        s,
        reason=event.reason,
        retries=0,
        result=None,
        exit=None,
        stop=None,
        failure=None,
        skipped_because_of=None,
    )


def _reclaimed(
    s: Stream, record: ev.Recorded, event: ev.WorkspaceReclaimed, spent: float
) -> Stream:
    rescue = (*s.rescue, *(r for r in event.rescue if r not in s.rescue))
    is_current = event.attempt == s.attempt
    return replace(s, workspace=None if is_current else s.workspace, rescue=rescue)


_STREAM: dict[type[ev.StreamEvent], Callable[[Stream, ev.Recorded, Any, float], Stream]] = {
    ev.StreamQueued: _queued,
    ev.StreamAdmitted: _admitted,
    ev.WorkspacePrepared: _prepared,
    ev.StreamStarted: _started,
    ev.StreamDelayed: _delayed,
    ev.StreamStopRequested: _stop_requested,
    ev.StreamExited: _exited,
    ev.StreamLost: _lost,
    ev.AttemptFailed: _attempt_failed,
    ev.ResultCaptured: _result,
    ev.PartialCaptured: _partial,
    ev.RetryScheduled: _retry,
    ev.StreamSucceeded: _ended,
    ev.StreamFailed: _ended,
    ev.StreamSkipped: _skipped,
    ev.StreamStopped: _ended,
    ev.StreamQuarantined: _ended,
    ev.StreamBlocked: _ended,
    ev.StreamRequeued: _requeued,
    ev.RecaptureRequested: _ended,
    ev.WorkspaceReclaimed: _reclaimed,
    **liveness_folds.STREAM_FOLDS,
}


# --- convergence ---------------------------------------------------------------------------------


def _evolve_point(state: State, record: ev.Recorded, event: ev.PointEvent) -> State:
    before = state.points.get(event.point)
    fold = _POINT.get(type(event))
    if before is None or fold is None:
        return state
    after = fold(before, record, event)
    if after.phase is not before.phase:
        after = replace(after, since=record.at, cause=record.seq)
    return replace(state, points=state.points.insert(after.id, after))


def _departed(p: Point, record: ev.Recorded, event: ev.ConvergenceDeparted) -> Point:
    stays = tuple(s for s in p.arrived if s != event.stream)
    return replace(p, arrived=stays, departed={**p.departed, event.stream: event.reason})


def _merge_started(p: Point, record: ev.Recorded, event: ev.ConvergenceStarted) -> Point:
    return replace(p, phase=PointPhase.MERGING, merging=event.streams, reason=event.reason)


def _merged(p: Point, record: ev.Recorded, event: ev.ConvergenceMerged) -> Point:
    return replace(
        p,
        phase=PointPhase.MERGED,
        reason=f"merged {counted(len(event.merged), 'stream')}",
        merged=event.merged,
        commit=event.commit,
        tree=event.tree,
        merging_seconds=p.merging_seconds + record.at - p.since,
    )


def _conflict(p: Point, record: ev.Recorded, event: ev.ConflictFound) -> Point:
    return replace(p, conflicts=(*p.conflicts, event.conflict))


def _point_blocked(p: Point, record: ev.Recorded, event: ev.ConvergenceBlocked) -> Point:
    return replace(p, phase=PointPhase.BLOCKED, reason=event.reason)


def _abandoned(p: Point, record: ev.Recorded, event: ev.ConvergenceAbandoned) -> Point:
    return replace(p, phase=PointPhase.ABANDONED, reason=event.reason)


def _reopened(p: Point, record: ev.Recorded, event: ev.ConvergenceReopened) -> Point:
    return replace(
        p,
        phase=PointPhase.OPEN,
        reason=event.reason,
        arrived=(),
        departed={},
        merging=(),
        quarantined=(),
        conflicts=(),
    )


_POINT: dict[type[ev.PointEvent], Callable[[Point, ev.Recorded, Any], Point]] = {
    **gathering.POINT_FOLDS,
    ev.ConvergenceDeparted: _departed,
    ev.ConvergenceStarted: _merge_started,
    ev.ConvergenceMerged: _merged,
    ev.ConflictFound: _conflict,
    ev.ConvergenceBlocked: _point_blocked,
    ev.ConvergenceAbandoned: _abandoned,
    ev.ConvergenceReopened: _reopened,
}
