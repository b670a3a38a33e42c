"""The one door: an input and the time go in, events and owed effects come out.

``decide`` first lets the input have its direct consequence, then *settles*: ended streams report to
their points, dependents are queued or skipped, free slots are filled, and a run at rest is closed.
Settling repeats until nothing follows any more, so a decision is always complete.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.calls import Call
from anabranch.core.deciding import (
    choosing,
    disk,
    growing,
    handlers,
    joined,
    memory,
    messages,
    old_runs,
    ordering,
    overhead,
    questions,
    resources,
    reviews,
    runs,
    services,
    sharing,
    terminal,
    undoing,
    width,
)
from anabranch.core.deciding.conflicts import radar, reopening, resolving
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.guardian import breakers, by_hand, deadlines, ladder, liveness, overdue
from anabranch.core.deciding.guardian import handlers as handlers_by_hand
from anabranch.core.deciding.hearing import Handler, answer_call, complete_answer
from anabranch.core.deciding.locks import leases, locks, violations, waivers
from anabranch.core.deciding.owed import newly_owed
from anabranch.core.deciding.points import adopting, arrivals, convergence, verifying
from anabranch.core.deciding.points import checkpoints as point_checkpoints
from anabranch.core.deciding.streams import checkpoints as stream_checkpoints
from anabranch.core.deciding.streams import (
    copies,
    heartbeats,
    placing,
    ranking,
    scheduling,
    setting_up,
    speculating,
    stealing,
    streams,
    tearing_down,
)
from anabranch.core.deciding.streams.leaving import leave
from anabranch.core.deciding.waiting import withdrawing
from anabranch.core.deciding.waiting.sources import SOURCES
from anabranch.core.deciding.waiting.waits import break_rings
from anabranch.core.ids import FINAL_POINT, StreamId
from anabranch.core.model.lifecycle import LIVE, Phase
from anabranch.core.model.outcome import Decision, Refusal
from anabranch.core.model.state import PointPhase, State
from anabranch.core.strategies import Strategies


def decide(
    state: State | None, given: inputs.Input, now: float, strategies: Strategies
) -> Decision | Refusal:
    """Return what follows from an input at run time ``now`` (seconds), or why a command is refused.

    Raises nothing for any input: an observation that does not fit is without consequence.
    """
    draft = Draft(state, now, strategies, given.cause)
    if state is not None and isinstance(given, inputs.StartRun):
        return Refusal(f"run {state.run} has already started", "resume it instead")
    if _is_about_something_known(draft, given):
        refusal = _let_in(draft, given)
        if refusal is not None:
            return refusal
        if draft.events or not isinstance(given, Call):  # else nothing has changed
            _settle(draft, is_start=state is None or state.base is None)
        if isinstance(given, Call):
            complete_answer(draft, given)
    after = draft.state
    effects = newly_owed(state, after, draft.touched_streams, draft.touched_points)
    return Decision(tuple(draft.events), (*effects, *draft.wakes), after, draft.answer)


def _let_in(draft: Draft, given: inputs.Input) -> Refusal | None:
    """Let one input have its direct consequence."""
    if isinstance(given, Call):
        is_heard = not speculating.before_call(draft, given) and answer_call(draft, given, CALLS)
        if is_heard:
            leases.hear(draft, given.caller)
        return None
    if isinstance(given, inputs.AttemptObservation) and _is_about_copy(draft, given):
        copies.hear(draft, given)
        return None
    return _HANDLERS[type(given)](draft, given)


def _is_about_something_known(draft: Draft, given: inputs.Input) -> bool:
    if isinstance(given, _OF_ANY_ATTEMPT):  # also of attempts that are long over
        return given.stream in draft.state.streams
    if isinstance(given, inputs.AttemptObservation):
        return streams.is_current(draft, given) or _is_about_copy(draft, given)
    if isinstance(given, _ABOUT_POINTS):
        return given.point in draft.state.points
    return True


def _is_about_copy(draft: Draft, given: inputs.AttemptObservation) -> bool:
    is_news = not isinstance(given, _OF_ANY_ATTEMPT)
    return is_news and draft.state is not None and copies.is_about_copy(draft.state, given)


_OF_ANY_ATTEMPT = inputs.WorkspaceGone | inputs.TeardownDone
_ABOUT_POINTS = (
    inputs.MergeFinished
    | inputs.MergeFailed
    | inputs.ResolverFinished
    | inputs.VerifyFinished
    | inputs.CheckpointMerged
    | inputs.CheckpointNotMerged
)


def _settle(draft: Draft, is_start: bool) -> None:
    """Work off everything that follows, until nothing does."""
    if is_start:
        with draft.because_of_last_event():
            _settle_everyone(draft)
    seen = 0
    while True:
        fresh = draft.events[seen:]
        seen += len(fresh)
        for record in fresh:
            with draft.because_of(record.seq):
                _follow(draft, record.event)
        with draft.because_of_last_event():
            ordering.release_due(draft)
            if len(draft.events) == seen:  # else somebody who was told just now may need them
                services.settle(draft)
            resources.serve_queue(draft)
            placing.admit(draft)
            speculating.settle(draft)
            if len(draft.events) == seen:
                _break_rings_of_time(draft)
            if len(draft.events) == seen:
                runs.end_if_over(draft)
        if len(draft.events) == seen:
            return


_OfOneStream = (
    ev.WaitBegan
    | ev.ArrivalWaitBegan
    | ev.StreamRequeued
    | ev.StreamQueued
    | ev.ResourcesGranted
    | ev.ConvergenceWithdrawn
)
_NotAbleAnyMore = (
    ev.StreamLeft | ev.StreamFailed | ev.StreamSkipped | ev.StreamStopped | ev.StreamQuarantined
)


def _itself(state: State, event: _OfOneStream) -> list[StreamId]:
    return [event.stream]


def _itself_if_it_waits(state: State, event: ev.ConvergenceArrived) -> list[StreamId]:
    return [event.stream] if event.waits else []


def _itself_if_it_must_wait(state: State, event: ev.StreamJoined) -> list[StreamId]:
    return [] if event.is_ready else [event.stream]


def _itself_if_others_ask(state: State, event: ev.LockGranted | ev.LockReleased) -> list[StreamId]:
    return [event.stream] if locks.may_close_ring(state, event) else []


def _everyone_queued(state: State, event: ev.ParallelismChanged) -> list[StreamId]:
    return [stream for _, _, stream in state.ready]


def _whoever_waits_for_its_like(state: State, event: _NotAbleAnyMore) -> list[StreamId]:
    return joined.waiting_for_what(state, event.stream)


_MAY_CLOSE_RINGS: dict[type[ev.Event], Callable[[State, Any], list[StreamId]]] = {
    # It begins to wait.
    **dict.fromkeys(ev.event_types(ev.WaitBegan), _itself),
    ev.ArrivalWaitBegan: _itself,
    ev.StreamRequeued: _itself,
    ev.StreamQueued: _itself,
    ev.ConvergenceArrived: _itself_if_it_waits,
    ev.ParallelismChanged: _everyone_queued,
    # From now on others wait for it.
    ev.ResourcesGranted: _itself,
    ev.ConvergenceWithdrawn: _itself,
    ev.StreamJoined: _itself_if_it_must_wait,
    ev.LockGranted: _itself_if_others_ask,
    ev.LockReleased: _itself_if_others_ask,
    # It is not able any more, and others have fewer to hope for.
    ev.StreamLeft: _whoever_waits_for_its_like,
    ev.StreamFailed: _whoever_waits_for_its_like,
    ev.StreamSkipped: _whoever_waits_for_its_like,
    ev.StreamStopped: _whoever_waits_for_its_like,
    ev.StreamQuarantined: _whoever_waits_for_its_like,
}
"""The streams through which a ring of waiting may go that an event has closed."""


def _break_rings_of_time(draft: Draft) -> None:
    """Break the rings through whoever goes before others by now, as it has waited longer."""
    for stream in resources.kept_for(draft.state) if draft.events else ():
        break_rings(draft, stream, None, SOURCES)


def _follow(draft: Draft, event: ev.Event) -> None:
    """Let one event have its consequences for others."""
    if isinstance(event, terminal.LEADS_NOWHERE):
        return
    if isinstance(event, ev.StreamEvent):
        if speculating.follow(draft, event):
            return
        _follow_stream(draft, event.stream)
        reviews.follow(draft, event)
        ladder.follow(draft, event)
        breakers.follow(draft, event)
    elif isinstance(event, ev.PointEvent):
        _follow_point(draft, event)
        if len(draft.state.foreseen):
            radar.follow_point(draft, event)
    elif isinstance(event, ev.StreamJoined | ev.StreamReady | ev.StreamLeft):
        _follow_joined(draft, event)
    in_new_rings = _MAY_CLOSE_RINGS.get(type(event))
    for stream in in_new_rings(draft.state, event) if in_new_rings else ():
        break_rings(draft, stream, event, SOURCES)
    further = _FURTHER.get(type(event))
    if further:
        further(draft, event)


def _checkpoint_ended(draft: Draft, event: ev.CheckpointTaken | ev.CheckpointFailed) -> None:
    point_checkpoints.taken_or_not(draft, event.stream)


def _resumed(draft: Draft, event: ev.RunResumed) -> None:
    leases.renew_all(draft)


def _chosen(draft: Draft, event: ev.StrategyChosen) -> None:
    if event.point:
        convergence.consult(draft, event.point)
    if event.kind == "balancer":
        ranking.rank_anew(draft, f"{event.strategy} was chosen as load balancer")


def _stop_requested(draft: Draft, event: ev.RunStopRequested) -> None:
    runs.stop_everyone(draft, event.reason)
    for plan in draft.state.plan.points:
        if plan.adopts_one:
            convergence.follow_adoption(draft, plan.id)


def _set_to_work(draft: Draft, event: ev.StreamStarted | ev.StreamSynced | ev.SyncDeclined) -> None:
    """Ask when the next checkpoint is due: a stream is at work, or has its share of the last."""
    point = draft.state.stream_plan(event.stream).converge
    if isinstance(event, ev.StreamStarted):
        services.started(draft, event)
    if draft.state.point_plan(point).takes_checkpoints:
        convergence.consult(draft, point)


def _failed(draft: Draft, event: ev.StreamFailed) -> None:
    scheduling.give_up_the_rest(draft)


def _abandoned(draft: Draft, event: ev.ConvergenceAbandoned) -> None:
    called_off = convergence.conflict_that_stops(draft.state)
    if called_off:
        scheduling.call_off_the_rest(draft, called_off)


_FURTHER: dict[type[ev.Event], Callable[[Draft, Any], None]] = {
    ev.CheckpointTaken: _checkpoint_ended,
    ev.CheckpointFailed: _checkpoint_ended,
    ev.RunResumed: _resumed,
    ev.StrategyChosen: _chosen,
    ev.RunStopRequested: _stop_requested,
    ev.StreamStarted: _set_to_work,
    ev.StreamSynced: _set_to_work,
    ev.SyncDeclined: _set_to_work,
    ev.StreamFailed: _failed,
    ev.ConvergenceAbandoned: _abandoned,
}
"""What follows of one type of event, beside what follows of all that are about the same."""


def _settle_everyone(draft: Draft) -> None:
    for plan in draft.state.plan.streams:
        with draft.because_of(draft.stream(plan.id).cause):
            scheduling.reconsider(draft, plan.id)
    for point in draft.state.topology.points:
        convergence.consult(draft, point)


def _follow_stream(draft: Draft, stream_id: StreamId) -> None:
    stream = draft.stream(stream_id)
    if stream.phase not in LIVE:
        leave(draft, stream)
        tearing_down.follow(draft, stream)
    if len(draft.state.foreseen):
        radar.follow_stream(draft, stream)
    scheduling.reconsider(draft, stream_id)
    if stream.has_ended:
        convergence.report_end(draft, stream)
        joined.reconsider_joined(draft, stream)
    arrivals.report_end(draft, stream)
    if stream.has_ended or stream.phase in _BEGUN:
        for other in draft.state.topology.dependents[stream_id]:
            scheduling.reconsider(draft, other)


_BEGUN = frozenset({Phase.RUNNING, Phase.STOPPING, Phase.CAPTURING})
"""Phases of a stream that has begun, which is what ``started`` asks for."""


def _follow_joined(draft: Draft, event: ev.StreamJoined | ev.StreamReady | ev.StreamLeft) -> None:
    outside = draft.state.registry.joined[event.stream]
    if outside.has_left:
        leave(draft, joined.as_ended(outside, draft.now))
    for stream_id in joined.dependents_of(draft.state, outside):
        scheduling.reconsider(draft, stream_id)


def _follow_point(draft: Draft, event: ev.PointEvent) -> None:
    point_id, has_merged = event.point, isinstance(event, ev.ConvergenceMerged)
    if not has_merged:
        convergence.consult(draft, point_id)
    is_reopened = isinstance(event, ev.ConvergenceReopened)  # what counted counts no more
    is_tried = isinstance(event, ev.VerifyPassed | ev.VerifyFailed)  # others may merge again
    is_tried = is_tried and draft.point(point_id).phase is PointPhase.OPEN
    if not (has_merged or is_reopened or is_tried or draft.point(point_id).is_settled):
        return
    if draft.state.point_plan(point_id).adopts_one:
        convergence.follow_adoption(draft, point_id)
    if not is_reopened:
        convergence.consult_in_turn(draft)
    if point_id != FINAL_POINT or draft.state.point_plan(point_id).merges_early:
        for stream_id in convergence.participants(draft.state, point_id):
            for other in draft.state.topology.dependents[stream_id]:
                scheduling.reconsider(draft, other)


def _wake(draft: Draft, given: inputs.TimeReached) -> None:
    """Look at everything that a clock can change."""
    leases.time_reached(draft)
    sharing.time_reached(draft)
    messages.time_reached(draft)
    convergence.time_reached(draft)
    overdue.time_reached(draft)
    breakers.time_reached(draft)
    for plan in draft.state.plan.streams:
        stream = draft.stream(plan.id)
        if stream.phase is Phase.RUNNING:
            streams.time_reached(draft, stream)
        elif stream.phase is Phase.RETRYING:
            scheduling.retry_due(draft, stream)
        deadlines.time_reached(draft, draft.stream(plan.id))


_HANDLERS: dict[type[inputs.Input], Callable[[Draft, Any], Refusal | None]] = {
    inputs.StartRun: runs.start,
    inputs.ResumeRun: runs.resume,
    inputs.StopRun: runs.stop,
    inputs.AddStream: growing.add,
    inputs.RewordStream: growing.reword,
    inputs.CloseRun: growing.close,
    inputs.StopStream: runs.stop_stream,
    inputs.AnswerQuestion: questions.answer,
    inputs.SendInput: terminal.send,
    inputs.LookAt: terminal.look_at,
    inputs.RetryStream: runs.retry_stream,
    inputs.RecoverStream: by_hand.recover,
    inputs.RecoverHandler: handlers_by_hand.recover,
    inputs.ResetBreaker: breakers.reset,
    inputs.ChooseStrategy: choosing.choose,
    inputs.ApproveRun: runs.approve,
    inputs.AdoptStream: adopting.adopt,
    inputs.ResolveConflict: resolving.resolve,
    inputs.ReopenConflict: reopening.reopen,
    inputs.HandBack: resolving.hand_back,
    inputs.TakeWork: reviews.take,
    inputs.HandBackWork: reviews.hand_back,
    inputs.AddNote: reviews.add_note,
    inputs.RemoveNote: reviews.remove_note,
    inputs.TellConflict: radar.tell_conflict,
    inputs.AllowViolation: waivers.allow_violation,
    inputs.BaseFound: runs.base_found,
    inputs.BaseNotFound: runs.base_not_found,
    inputs.WorkspaceReady: streams.workspace_ready,
    inputs.WorkspaceConflicted: streams.workspace_conflicted,
    inputs.EffectFailed: streams.effect_failed,
    inputs.EffectDelayed: streams.effect_delayed,
    inputs.InputTyped: terminal.typed,
    inputs.PromptSeen: terminal.prompt_seen,
    inputs.OutputLeftOut: streams.output_left_out,
    inputs.StreamHeld: streams.held,
    inputs.StreamLetGo: streams.let_go,
    inputs.SetupBegan: setting_up.began,
    inputs.SetupDone: setting_up.done,
    inputs.ProcessStarted: streams.process_started,
    inputs.ReadinessSeen: services.seen,
    inputs.HealthSeen: services.answers_no_more,
    inputs.ProcessExited: streams.process_exited,
    inputs.ProcessLost: streams.process_lost,
    inputs.ResultReady: streams.result_ready,
    inputs.MergeFinished: convergence.merge_finished,
    inputs.MergeFailed: convergence.merge_failed,
    inputs.ResolverFinished: resolving.resolver_finished,
    inputs.VerifyFinished: verifying.verify_finished,
    inputs.PairTested: radar.pair_tested,
    inputs.TeardownDone: tearing_down.done,
    inputs.WorkspaceGone: streams.workspace_gone,
    inputs.ApprovalDone: runs.approval_done,
    inputs.ApprovalNotDone: runs.approval_not_done,
    inputs.MachineSeen: resources.machine_seen,
    inputs.MachineLoad: resources.load_seen,
    inputs.DiskSeen: disk.seen,
    inputs.OldRunsSeen: old_runs.seen,
    inputs.PressureSeen: width.pressure_seen,
    inputs.MemorySeen: memory.seen,
    inputs.HandlersSeen: handlers.seen,
    inputs.HandlerRequestPassedOn: handlers_by_hand.passed_on,
    inputs.OverheadSeen: overhead.seen,
    inputs.UsageSeen: resources.usage_seen,
    inputs.LivenessSeen: liveness.seen,
    inputs.HeartbeatHeard: heartbeats.heard,
    inputs.StreamAsked: ladder.asked,
    inputs.JoinedStreamSilent: joined.fell_silent,
    inputs.PathsWritten: violations.paths_written,
    inputs.CheckpointMerged: point_checkpoints.merged,
    inputs.CheckpointNotMerged: point_checkpoints.not_merged,
    inputs.SyncDone: point_checkpoints.sync_done,
    inputs.SyncDelayed: point_checkpoints.sync_delayed,
    inputs.SyncNotDone: point_checkpoints.sync_not_done,
    inputs.CheckpointReady: stream_checkpoints.ready,
    inputs.CheckpointNotTaken: stream_checkpoints.not_taken,
    inputs.StrategyFault: runs.strategy_faulted,
    inputs.TimeFound: scheduling.time_found,
    inputs.VictimAnswered: stealing.answered,
    inputs.TimeReached: _wake,
}

CALLS: dict[type[Call], Handler] = {
    **locks.CALLS,
    **sharing.CALLS,
    **undoing.CALLS,
    **messages.CALLS,
    **questions.CALLS,
    **terminal.CALLS,
    **joined.CALLS,
    **resources.CALLS,
    **arrivals.CALLS,
    **heartbeats.CALLS,
    **leases.CALLS,
    **stream_checkpoints.CALLS,
    **withdrawing.CALLS,
}
"""Who deals with which call, one table a concern."""
