"""Decisions about services: when one is ready, whom nobody needs, and what its end means.

A service holds no slot and takes part in no convergence point. It is started as soon as what it
depends on is there, and is ended when nobody who depends on it has still to end; one on which
nobody depends is ended when all jobs are over. Where nothing goes on any more but services, they
are ended too, or they would keep a run from its end that waits for a person. It comes back when
somebody who needs it comes back.
"""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.streams.scheduling import is_met
from anabranch.core.deciding.streams.serving import may_be_ready, may_be_unhealthy
from anabranch.core.deciding.streams.streams import request_stop
from anabranch.core.deciding.streams.windows import is_awaited
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Point, PointPhase, State, Stream

STARTED = "its process runs, and the plan asks for no more"


# --- ready ---------------------------------------------------------------------------------------


def started(draft: Draft, event: ev.StreamStarted) -> None:
    """Have a service be ready at once of which the plan asks no more than that it runs."""
    stream = draft.stream(event.stream)
    plan = draft.state.stream_plan(stream.id)
    if plan.is_service and plan.ready is None and may_be_ready(stream):
        draft.emit(ev.ServiceReady(stream.id, attempt=stream.attempt, evidence=STARTED))


def seen(draft: Draft, fact: inputs.ReadinessSeen) -> None:
    """Record that a service is ready, or end one that was not in its time."""
    stream = draft.stream(fact.stream)
    plan = draft.state.stream_plan(stream.id)
    if not may_be_ready(stream) or plan.ready is None:
        return
    if fact.is_ready:
        draft.emit(ev.ServiceReady(stream.id, attempt=stream.attempt, evidence=fact.evidence))
    else:
        reason = f"it was not ready within {plan.ready.timeout_seconds:g} s: {fact.evidence}"
        request_stop(draft, stream, reason, Phase.FAILED)


def answers_no_more(draft: Draft, fact: inputs.HealthSeen) -> None:
    """End a service that was ready and answers no more; `restart` says what becomes of it."""
    stream = draft.stream(fact.stream)
    if not may_be_unhealthy(draft.state, stream):
        return
    draft.emit(
        ev.ServiceUnhealthy(
            stream.id, attempt=stream.attempt, evidence=fact.evidence, since=fact.since
        )
    )
    reason = f"it was ready, and answers no more: {fact.evidence}"
    request_stop(draft, draft.stream(stream.id), reason, Phase.FAILED)


# --- who is needed -------------------------------------------------------------------------------


def settle(draft: Draft) -> None:
    """End the services that nobody needs, and have those come back that somebody needs again."""
    if not draft.state.topology.services or draft.state.has_ended or draft.state.stop_reason:
        return
    if draft.state.base is None:
        return
    is_idle = _is_idle(draft.state)
    for name in draft.state.topology.services:
        stream = draft.stream(name)
        if not stream.has_ended:
            _let_go_if_not_needed(draft, stream, is_idle=is_idle)
        elif stream.serving.let_go and _may_start(draft.state, name):
            wants = next(_who_wants(draft.state, name), None)
            if wants is not None:
                draft.emit(ev.StreamRequeued(name, reason=f"{wants} needs it again"))


def _let_go_if_not_needed(draft: Draft, stream: Stream, *, is_idle: bool) -> None:
    why = _why_not_needed(draft.state, stream.id, is_idle=is_idle)
    if why and not stream.serving.let_go:
        draft.emit(ev.ServiceLetGo(stream.id, attempt=stream.attempt, reason=why))
        request_stop(draft, draft.stream(stream.id), why, Phase.SUCCEEDED)


def _why_not_needed(state: State, service: StreamId, *, is_idle: bool) -> str:
    """Return why nobody needs a service, empty if somebody does."""
    dependents = state.topology.descendants(service) - set(state.topology.services)
    jobs = dependents or set(state.topology.jobs)
    if any(not state.streams[s].has_ended for s in jobs if s in state.streams):
        return "nothing goes on that needs it" if is_idle else ""
    if state.plan.is_open and not dependents:
        return ""
    return "nobody needs it any more" if dependents else "all jobs are over"


def _who_wants(state: State, service: StreamId) -> Iterator[StreamId]:
    """Yield the jobs that could go on if a service were ready, or are about to."""
    services = set(state.topology.services)
    behind = state.topology.descendants(service) - services
    for name in behind or state.topology.jobs:
        stream = state.streams[name]
        if stream.phase is Phase.WAITING:
            own = (d for d in state.stream_plan(name).depends_on if d.stream not in services)
            if all(is_met(state, d) for d in own):
                yield name
        elif not stream.has_ended and stream.phase is not Phase.BLOCKED:
            yield name


def _may_start(state: State, service: StreamId) -> bool:
    """Return whether all that a service depends on is there."""
    return all(is_met(state, d) for d in state.stream_plan(service).depends_on)


def _looks_again(point: Point) -> bool:
    return point.phase is PointPhase.OPEN and point.looks_again_at is not None


def _is_idle(state: State) -> bool:
    """Return whether nothing goes on but services that are ready, nor will by itself."""
    counts = state.counts
    if counts.active or counts.retrying or state.ready:
        return False
    if any(is_awaited(state.streams[s]) for s in state.topology.timed):
        return False
    if any(p.is_busy or p.resolving or _looks_again(p) for p in state.points.values()):
        return False
    known = [state.streams[s] for s in state.topology.services]
    if any(s.is_active and not s.is_ready for s in known):
        return False
    if any(s.phase is Phase.WAITING and _may_start(state, s.id) for s in known):
        return False
    is_held_up = bool(counts.blocked) or any(
        p.phase is PointPhase.BLOCKED for p in state.points.values()
    )
    return is_held_up or not state.plan.is_open
