"""What the state owes to the world: the one definition of every effect.

A decision's effects are those owed after it that were not owed before; an engine that starts on a
journal performs everything that is owed. So a crash between append and perform loses nothing, and
the two ways of arriving at an effect cannot drift apart: there is only one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from anabranch.core import effects as fx
from anabranch.core.deciding import handlers, old_runs, terminal
from anabranch.core.deciding.alone import calm_until
from anabranch.core.deciding.joined import hoped_until
from anabranch.core.deciding.locks.leases import owed_by_lease
from anabranch.core.deciding.points import checkpoints as point_checkpoints
from anabranch.core.deciding.points.convergence import held_up_at, participants
from anabranch.core.deciding.streams import checkpoints as stream_checkpoints
from anabranch.core.deciding.streams import (
    copies,
    serving,
    stealing,
    straggling,
    tearing_down,
)
from anabranch.core.deciding.streams.windows import is_sought
from anabranch.core.ids import PointId, StreamId
from anabranch.core.inputs import Input, StopRun, StopStream
from anabranch.core.model.breakers import BreakerPhase
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.ordering import US, next_end_us
from anabranch.core.model.state import Point, PointPhase, RunPhase, State, Stream
from anabranch.core.strategies.rungs import SOFT

MEMORY_GRACE_SECONDS = 2.0
"""How long one that is ended for its memory may take: meanwhile it costs others theirs."""


def owed(state: State) -> tuple[fx.Effect, ...]:
    """Return everything the state owes, in plan order."""
    streams = dict.fromkeys((*state.topology.streams, *state.locks.holders))
    return tuple(dict.fromkeys(_owed_for(state, streams, state.topology.points)))


def newly_owed(
    before: State | None, after: State, streams: Iterable[StreamId], points: Iterable[PointId]
) -> tuple[fx.Effect, ...]:
    """Return what ``after`` owes and ``before`` did not, looking only at what was touched."""
    if before is after:
        return ()
    streams, points = list(streams), list(points)
    now = tuple(_owed_for(after, streams, points))
    if not now or before is None:
        return now
    already = set(_owed_for(before, streams, points))
    return tuple(effect for effect in now if effect not in already)


def is_owed(state: State, effect: fx.FindTime) -> bool:
    """Return whether a time of day is still sought."""
    stream = state.streams.get(effect.stream)
    return stream is not None and effect in owed_by_stream(state, stream)


def _owed_for(
    state: State, streams: Iterable[StreamId], points: Iterable[PointId]
) -> Iterator[fx.Effect]:
    yield from _owed_by_run(state)
    for stream_id in streams:
        yield from owed_by_lease(state, stream_id)
        stream = state.streams.get(stream_id)
        if stream is not None:
            yield from owed_by_stream(state, stream)
            yield from copies.owed_to(state, stream_id)
            yield from straggling.owed_to(state, stream)
            yield from tearing_down.owed_to(state, stream)
            yield from terminal.owed_to(stream)
            yield from handlers.owed_to(state, stream)
            yield from serving.owed_to(state, stream)
            yield from stream_checkpoints.owed_to(state, stream)
            yield from point_checkpoints.owed_to(state, stream)
    for point_id in points:
        yield from _owed_by_point(state, state.points[point_id])


def _owed_by_run(state: State) -> Iterator[fx.Effect]:
    if state.base is None and not state.has_ended:
        yield fx.CaptureBase(cause=1)
    if state.has_ended:
        yield fx.WriteReport(cause=state.cause)
    wants_approval = state.approval.is_requested and not state.approval.is_done
    if wants_approval and state.phase is RunPhase.CONVERGED:
        yield fx.ApproveResult(cause=state.cause)
    if old_runs.are_owed_a_look(state):
        yield fx.RemoveOldRuns(cause=state.cause)
    if not state.has_ended:
        yield from _owed_to_clocks(state)
    yield from stealing.owed(state)  # a run may end while an answer is under way


def _owed_to_clocks(state: State) -> Iterator[fx.Effect]:
    """Yield when state is to be propagated, a message's deadline passes, a breaker half opens."""
    unsynced, deadlines = state.shared.unsynced, state.messages.deadlines
    if unsynced is not None:
        at = unsynced[0] + state.plan.shared_state.sync_interval_seconds
        yield fx.WakeAt(at=at, subject="shared state", cause=unsynced[1])
    if deadlines:
        at, message = deadlines[0]
        yield fx.WakeAt(at=at, subject="messages", cause=message)
    for timed in state.orderings.values():
        end_us = next_end_us(timed)
        if end_us is not None:
            at = end_us / US - state.started_wall + 0.001  # for what is rounded
            yield fx.WakeAt(at=at, subject="timed events", cause=timed.held[0].id)
    for name in state.breakers.tripped:
        breaker = state.breakers.breaker(name)
        if breaker.phase is BreakerPhase.OPEN:
            yield fx.WakeAt(at=breaker.until, subject=f"breaker of {name}", cause=breaker.cause)


def owed_by_stream(state: State, stream: Stream) -> Iterator[fx.Effect]:
    """Yield what one stream's phase asks for."""
    name, attempt, cause = stream.id, stream.attempt, stream.cause
    if stream.care.deadline is not None and not stream.has_ended:
        at = stream.care.deadline
        yield fx.WakeAt(at=at, subject=f"recovery of {name}", cause=stream.care.cause)
    has_way = bool(state.stream_plan(name).ask.words)
    if stream.care.remedy == SOFT and not stream.care.is_asked and has_way and not stream.has_ended:
        yield fx.AskStream(stream=name, attempt=attempt, cause=stream.care.cause)
    if is_sought(stream):
        yield _time_sought(state, stream)
    match stream.phase:
        case Phase.WAITING if hoped_until(state, stream) > stream.since:
            yield fx.WakeAt(at=hoped_until(state, stream), subject=name, cause=cause)
        case Phase.QUEUED:
            if stream.not_before > stream.since:
                yield fx.WakeAt(at=stream.not_before, subject=name, cause=cause)
            if stream.memory.is_alone:
                yield fx.WakeAt(at=calm_until(stream), subject=name, cause=cause)
        case Phase.PREPARING if not tearing_down.holds_up(state, stream):
            yield fx.PrepareWorkspace(stream=name, attempt=attempt, cause=cause)
        case Phase.STARTING:
            yield fx.StartProcess(stream=name, attempt=attempt, cause=cause)
        case Phase.RUNNING:
            deadline = deadline_of(state, stream)
            if deadline is not None:
                yield fx.WakeAt(at=deadline, subject=name, cause=cause)
        case Phase.STOPPING:
            grace = _grace_seconds(state, stream)
            yield fx.StopProcess(stream=name, attempt=attempt, grace_seconds=grace, cause=cause)
        case Phase.CAPTURING:
            partial = is_partial(state, stream)
            yield fx.CaptureResult(stream=name, attempt=attempt, is_partial=partial, cause=cause)
        case _ if stream.has_ended and stream.ports and not state.teardowns.owed_to(name):
            yield fx.ReturnPorts(stream=name, attempt=attempt, cause=cause)
        case Phase.RETRYING:
            yield fx.WakeAt(at=stream.not_before, subject=name, cause=cause)


def _time_sought(state: State, stream: Stream) -> fx.FindTime:
    plan, window = state.stream_plan(stream.id), stream.window
    after = state.started_wall if window.after_wall is None else window.after_wall
    return fx.FindTime(
        stream=stream.id, at=plan.at, zone=plan.zone, after_wall=after, cause=window.cause
    )


def _grace_seconds(state: State, stream: Stream) -> float:
    """Return how long a process may take to end; not for long where memory is short for all."""
    grace = state.plan.stop_grace_seconds
    has_overrun = stream.memory.overrun_of(stream.attempt) is not None
    return min(grace, MEMORY_GRACE_SECONDS) if has_overrun else grace


def _owed_by_point(state: State, point: Point) -> Iterator[fx.Effect]:
    if point.phase is PointPhase.MERGING:
        yield fx.MergeResults(point=point.id, cause=point.cause)
    elif point.phase is PointPhase.VERIFYING:
        yield fx.RunVerify(
            point=point.id,
            streams=point.probe,
            is_again=point.probe_is_again,
            failures=point.probe_failures,
            trial_of=point.adoption.trial_of,
            cause=point.probe_cause,
        )
    elif point.phase is PointPhase.OPEN and point.looks_again_at is not None:
        subject = f"point {point.id}"
        yield fx.WakeAt(at=point.looks_again_at, subject=subject, cause=point.looks_again_cause)
    if point.resolving:
        yield fx.RunResolver(point=point.id, cause=point.resolver_cause)
    yield from point_checkpoints.owed_by_point(point)
    overdue_at = convergence_overdue_at(state, point)
    if overdue_at is not None:
        yield fx.WakeAt(at=overdue_at, subject=f"timeout of {point.id}", cause=point.cause)


def convergence_overdue_at(state: State, point: Point) -> float | None:
    """Return when those who wait at a point will have waited for longer than the plan allows."""
    limit = state.point_plan(point.id).timeout_seconds
    if limit is None or point.phase is not PointPhase.OPEN or point.is_overdue:
        return None
    since = [at for s, at in point.arrived_at.items() if s not in point.merged]
    since += [arrival.since for arrival in point.gathering.arrivals if arrival.waits]
    if not since or _waits_for_a_person(state, point):
        return None
    return min(since) + limit


def _waits_for_a_person(state: State, point: Point) -> bool:
    """Return whether nobody is missing at a point but those whose review has to be taken first."""
    held_up = held_up_at(state, point)
    expected = len(participants(state, point.id)) - len(point.arrived) - len(point.departed)
    return bool(held_up) and len(held_up) == expected


def deadline_of(state: State, stream: Stream) -> float | None:
    """Return when a running stream's time limit is up, on the run clock."""
    limit = state.stream_plan(stream.id).timeout_seconds
    if limit is None or stream.started_at is None:
        return None
    return stream.started_at + limit


def exited_well(state: State, stream: Stream) -> bool:
    """Return whether the process ended with an exit code that the plan calls success."""
    exit_ = stream.exit
    if exit_ is None or exit_.lost or exit_.error:
        return False
    return exit_.status in state.stream_plan(stream.id).success_exit_codes


def is_partial(state: State, stream: Stream) -> bool:
    """Return whether what is being captured is partial work rather than a result."""
    is_service = state.stream_plan(stream.id).is_service
    return is_service or bool(stream.stop) or not exited_well(state, stream)


def stops_asked_for(state: State, given: Input) -> tuple[fx.StopProcess, ...]:
    """Return which processes a command wants ended, for when it cannot be made an event yet."""
    match given:
        case StopRun():
            wanted = [plan.id for plan in state.plan.streams]
        case StopStream(stream=stream):
            wanted = [stream]
        case _:
            wanted = []
    running = [state.streams[s] for s in wanted if s in state.streams]
    running += [state.copies[s].run for s in wanted if s in state.copies]
    return tuple(
        fx.StopProcess(
            stream=stream.id,
            attempt=stream.attempt,
            grace_seconds=state.plan.stop_grace_seconds,
            cause=stream.cause,
        )
        for stream in running
        if stream.phase in (Phase.STARTING, Phase.SETTING_UP, Phase.RUNNING)
    )
