"""What the events of a stream change about it.

Its phase moves by :mod:`anabranch.core.model.lifecycle`. A fold gets the stream as it was, the
record, the event, and the seconds since its phase began.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.folds import (
    guardian,
    liveness,
    memory,
    point_checkpoints,
    reviews,
    services,
    setup,
    terminal,
    windows,
)
from anabranch.core.folds.teardowns import SAYS
from anabranch.core.folds.waiting import kept_waiting
from anabranch.core.model.guardian import Care
from anabranch.core.model.lifecycle import next_phase
from anabranch.core.model.reviews import HandedBack
from anabranch.core.model.services import Serving
from anabranch.core.model.setup import Setup
from anabranch.core.model.spent import Spent, Worked
from anabranch.core.model.state import (
    Exit,
    Liveness,
    Result,
    StopRequest,
    Stream,
    Workspace,
)


def _queued(s: Stream, record: ev.Recorded, event: ev.StreamQueued, spent: float) -> Stream:
    return replace(
        s,
        attempt=event.attempt,
        rank=event.rank,
        not_before=event.not_before,
        first_queued_at=record.at if s.first_queued_at is None else s.first_queued_at,
        reason="ready; waiting for a slot",
        stop=None,
        exit=None,
        failure=None,
        workspace=None,
        pid=None,
        holder_pid=None,
        last_started_at=s.started_at,
        started_at=None,
        ended_at=None,
        worked=Worked(),
        waits=(),
        liveness=Liveness(),
        offer=None,
        synced=None,
        sync_declined="",
        files_changed=None,
        ignored=(),
        window=windows.queued(s.window, event.window),
        terminal=s.terminal.of_new_attempt(),
        setup=Setup(),
        serving=Serving(unhealthy=s.serving.unhealthy),
    )


def _admitted(s: Stream, record: ev.Recorded, event: ev.StreamAdmitted, spent: float) -> Stream:
    return replace(
        s,
        reason="preparing its workspace",
        is_captured_again=False,
        placed_because=event.placed_because,
        goes_on_from=event.takes_over,
    )


def _prepared(s: Stream, record: ev.Recorded, event: ev.WorkspacePrepared, spent: float) -> Stream:
    return replace(
        s,
        workspace=Workspace(
            event.path, event.start_commit, event.start_tree, event.method, event.in_namespace
        ),
        warnings=(*(w for w in s.warnings if w.startswith(SAYS)), *event.warnings),
        partial=tuple(dict.fromkeys((*s.partial, *event.kept))),
        restored=event.restored,
        goes_on_from=event.taken_from,
        ports=event.ports,
        reason=_restored_in_words(event) or "starting its process",
        spent=replace(s.spent, preparing=s.spent.preparing + spent),
    )


def _restored_in_words(event: ev.WorkspacePrepared) -> str:
    return f"starting its process from checkpoint {event.restored}" if event.restored else ""


def _started(s: Stream, record: ev.Recorded, event: ev.StreamStarted, spent: float) -> Stream:
    first = s.first_started_at
    return replace(
        s,
        pid=event.pid,
        holder_pid=event.holder_pid,
        held="",
        log=event.log,
        care=s.care.of_new_attempt(),
        started_at=event.happened_at,
        first_started_at=event.happened_at if first is None else first,
        reason=f"process {event.pid} runs",
        window=windows.with_start(s.window, event.happened_at),
        spent=s.spent
        if s.setup.began_at is not None  # what is between is told by the setup itself
        else replace(s.spent, starting=s.spent.starting + spent),
    )


def _output_cut(s: Stream, record: ev.Recorded, event: ev.OutputCut, spent: float) -> Stream:
    return replace(s, cut_in=event.attempt)


def _held(s: Stream, record: ev.Recorded, event: ev.StreamHeld, spent: float) -> Stream:
    return replace(s, held=event.reason, held_at=record.at, reason=f"held: {event.reason}")


def _let_go(s: Stream, record: ev.Recorded, event: ev.StreamLetGo, spent: float) -> Stream:
    s = kept_waiting(s, s.held_at, record.at)
    return replace(s, held="", reason=f"process {s.pid} runs")


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
        held="",
        window=s.window if s.started_at is not None else windows.with_start(s.window, began),
        reason="keeping its work",
        spent=replace(
            s.spent,
            working=s.spent.working + worked,
            on_processors=s.spent.on_processors + (event.cpu_seconds or 0.0),
        ),
        worked=replace(
            s.worked,
            seconds=worked,
            cpu_seconds=event.cpu_seconds,
            peak_memory_mb=event.peak_memory_mb,
        ),
    )


def _lost(s: Stream, record: ev.Recorded, event: ev.StreamLost, spent: float) -> Stream:
    began = record.at if s.started_at is None else s.started_at
    worked = max(0.0, record.at - began)
    return replace(
        s,
        exit=Exit(lost=True),
        failure=event.reason,
        held="",
        ended_at=record.at,
        window=s.window if s.started_at is not None else windows.with_start(s.window, began),
        reason=f"{event.reason}; keeping its work",
        spent=replace(s.spent, working=s.spent.working + worked),
    )


def _attempt_failed(
    s: Stream, record: ev.Recorded, event: ev.AttemptFailed, spent: float
) -> Stream:
    return replace(s, failure=event.reason, reason=event.reason)


def _result(s: Stream, record: ev.Recorded, event: ev.ResultCaptured, spent: float) -> Stream:
    at = s.workspace
    was_synced = bool(at and event.start_tree and event.start_tree != at.start_tree)
    result = Result(
        commit=event.commit,
        tree=event.tree,
        start_commit=at.start_commit if at else event.commit,
        start_tree=event.start_tree or (at.start_tree if at else event.tree),
        files_changed=event.files_changed,
        ref=event.ref,
        is_mixed=was_synced or s.synced is not None,
    )
    warnings = (*s.warnings, *(w for w in event.warnings if w not in s.warnings))
    return replace(
        s,
        result=result,
        warnings=warnings,
        files_changed=event.files_changed,
        ignored=event.ignored,
        handed_back=reviews.done_again(s.handed_back),
        spent=_captured(s, spent),
    )


def _partial(s: Stream, record: ev.Recorded, event: ev.PartialCaptured, spent: float) -> Stream:
    return replace(
        s,
        partial=s.partial if event.ref in s.partial else (*s.partial, event.ref),
        warnings=(*s.warnings, *(w for w in event.warnings if w not in s.warnings)),
        files_changed=event.files_changed,
        spent=_captured(s, spent),
    )


def _captured(s: Stream, spent: float) -> Spent:
    return replace(s.spent, capturing=s.spent.capturing + spent)


def _retry(s: Stream, record: ev.Recorded, event: ev.RetryScheduled, spent: float) -> Stream:
    return replace(
        s,
        not_before=event.retry_at,
        retries=s.retries + (not s.care.is_by_hand and event.alone_mb is None),
        memory=memory.tried_again(s.memory, event),
        is_retry=True,
        reason=event.reason,
        stop=None,
        failure_class=event.failure_class,
    )


_Ended = (
    ev.StreamSucceeded | ev.StreamSkipped | ev.StreamStopped | ev.StreamBlocked
) | ev.StreamPassedOver


def _ended(s: Stream, record: ev.Recorded, event: _Ended, spent: float) -> Stream:
    return replace(s, reason=event.reason)


def _quarantined(
    s: Stream, record: ev.Recorded, event: ev.StreamQuarantined, spent: float
) -> Stream:
    return replace(s, reason=event.reason, quarantined_at=event.point)


def _recapture(
    s: Stream, record: ev.Recorded, event: ev.RecaptureRequested, spent: float
) -> Stream:
    return replace(s, reason=event.reason, failure=None, failure_class="", is_captured_again=True)


def _failed(s: Stream, record: ev.Recorded, event: ev.StreamFailed, spent: float) -> Stream:
    return replace(s, reason=event.reason, failure_class=event.failure_class)


def _requeued(s: Stream, record: ev.Recorded, event: ev.StreamRequeued, spent: float) -> Stream:
    return replace(
        s,
        reason=event.reason,
        retries=0,
        is_retry=False,
        result=None,
        exit=None,
        stop=None,
        failure=None,
        failure_class="",
        care=Care(),
        window=windows.requeued(s.window, event.at_once),
        memory=memory.begun_anew(s.memory),
    )


def _handed_back(
    s: Stream, record: ev.Recorded, event: ev.ConflictHandedBack, spent: float
) -> Stream:
    commit = s.result.commit if s.result else ""
    given = HandedBack(
        commit, event.attempt, event.builds_on, point=event.point, conflict=event.conflict
    )
    return replace(s, handed_back=given)


def _reclaimed(
    s: Stream, record: ev.Recorded, event: ev.WorkspaceReclaimed, spent: float
) -> Stream:
    rescue = (*s.rescue, *(r for r in event.rescue if r not in s.rescue))
    is_current = event.attempt == s.attempt
    return replace(s, workspace=None if is_current else s.workspace, rescue=rescue)


def moved(before: Stream, record: ev.Recorded, event: ev.StreamEvent) -> Stream:
    """Return a stream, or an attempt beside it, after an event about it."""
    after, phase = before, next_phase(before.phase, event)
    if phase is not before.phase:
        after = replace(after, phase=phase, since=record.at, cause=record.seq)
    fold = STREAM_FOLDS.get(type(event))
    return after if fold is None else fold(after, record, event, record.at - before.since)


STREAM_FOLDS: dict[type[ev.StreamEvent], Callable[[Stream, ev.Recorded, Any, float], Stream]] = {
    ev.StreamQueued: _queued,
    ev.StreamAdmitted: _admitted,
    ev.WorkspacePrepared: _prepared,
    ev.StreamStarted: _started,
    ev.StreamDelayed: _delayed,
    ev.OutputCut: _output_cut,
    ev.StreamHeld: _held,
    ev.StreamLetGo: _let_go,
    ev.StreamStopRequested: _stop_requested,
    ev.StreamExited: _exited,
    ev.StreamLost: _lost,
    ev.AttemptFailed: _attempt_failed,
    ev.ResultCaptured: _result,
    ev.PartialCaptured: _partial,
    ev.RetryScheduled: _retry,
    ev.StreamSucceeded: _ended,
    ev.StreamFailed: _failed,
    ev.StreamSkipped: _ended,
    ev.StreamStopped: _ended,
    ev.StreamQuarantined: _quarantined,
    ev.StreamPassedOver: _ended,
    ev.StreamBlocked: _ended,
    ev.StreamRequeued: _requeued,
    ev.RecaptureRequested: _recapture,
    ev.ConflictHandedBack: _handed_back,
    ev.WorkspaceReclaimed: _reclaimed,
    **liveness.STREAM_FOLDS,
    **point_checkpoints.STREAM_FOLDS,
    **guardian.STREAM_FOLDS,
    **windows.STREAM_FOLDS,
    **memory.STREAM_FOLDS,
    **reviews.STREAM_FOLDS,
    **setup.STREAM_FOLDS,
    **terminal.STREAM_FOLDS,
    **services.STREAM_FOLDS,
}
