"""What must hold after every step. Tests, the simulation and ``anabranch doctor`` check it."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core.deciding.points.endings import speaks_against, why_not_converged
from anabranch.core.deciding.streams.scheduling import is_met, why_never
from anabranch.core.deciding.streams.windows import is_awaited
from anabranch.core.folds.memory import runs_alone
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import RunPhase, State, Stream
from anabranch.core.promises.adoption import broken_adoptions
from anabranch.core.promises.copies import copy_promises
from anabranch.core.promises.locks import broken_lock_promises
from anabranch.core.promises.ports import port_promises
from anabranch.core.promises.questions import broken_question_promises
from anabranch.core.promises.queues import broken_queues
from anabranch.core.promises.resources import resource_promises
from anabranch.core.promises.reviews import review_promises
from anabranch.core.promises.services import service_promises
from anabranch.core.promises.sharing import broken_sharing_promises
from anabranch.core.promises.slots import broken_leases


def broken_promises(state: State) -> list[str]:
    """Return every promise that the state breaks, in words; an empty list is good."""
    return [
        *_slots(state),
        *_queue(state),
        *broken_queues(state),
        *_counts(state),
        *_streams(state),
        *_end(state),
        *resource_promises(state),
        *broken_lock_promises(state),
        *broken_sharing_promises(state),
        *broken_question_promises(state),
        *copy_promises(state),
        *review_promises(state),
        *broken_adoptions(state),
        *port_promises(state),
        *service_promises(state),
    ]


def _slots(state: State) -> Iterator[str]:
    # Work that is kept once more, after a person changed it, is kept beside the slots.
    active = sum(
        s.is_active and s.result is None and not s.is_captured_again
        for s in state.streams.values()
        if not state.stream_plan(s.id).is_service
    )
    active += sum(copy.run.is_active for copy in state.copies.values())
    if active > state.widest:
        yield f"{active} streams are active, {state.widest} may be"
    yield from broken_leases(state)
    alone = {s.id for s in state.streams.values() if runs_alone(s)}
    if alone != set(state.alone):
        yield f"{sorted(alone)} run alone, {sorted(state.alone)} are listed"


def _queue(state: State) -> Iterator[str]:
    queued = {s.id for s in state.streams.values() if s.phase is Phase.QUEUED}
    listed = [stream for _, _, stream in state.ready]
    if queued != set(listed) or len(listed) != len(queued):
        yield f"the queue lists {sorted(listed)}, but {sorted(queued)} are queued"
    if list(state.ready) != sorted(state.ready):
        yield "the queue is out of order"


def _counts(state: State) -> Iterator[str]:
    streams = list(state.streams.values())
    jobs = [s for s in streams if not state.stream_plan(s.id).is_service]
    actual = (
        sum(s.is_active for s in (*jobs, *(c.run for c in state.copies.values()))),
        sum(s.is_active for s in streams) - sum(s.is_active for s in jobs),
        sum(s.has_ended for s in streams),
        sum(s.phase is Phase.BLOCKED for s in streams),
        sum(s.phase is Phase.RETRYING for s in streams),
    )
    counts = state.counts
    if actual != (counts.active, counts.services, counts.ended, counts.blocked, counts.retrying):
        yield f"the counts say {counts}, the streams say {actual}"


def _streams(state: State) -> Iterator[str]:
    for stream in state.streams.values():
        yield from _stream(state, stream)


def _stream(state: State, stream: Stream) -> Iterator[str]:
    at_work = (Phase.STARTING, Phase.SETTING_UP, Phase.RUNNING)
    if stream.phase in at_work and stream.workspace is None:
        yield f"{stream.id} is {stream.phase} without a workspace"
    if stream.phase in (Phase.SETTING_UP, Phase.RUNNING) and stream.pid is None:
        yield f"{stream.id} runs without a process"
    if stream.is_active and stream.attempt < 1:
        yield f"{stream.id} is {stream.phase} in attempt {stream.attempt}"
    if stream.phase in (Phase.SUCCEEDED, Phase.FAILED, Phase.SKIPPED) and not stream.reason:
        yield f"{stream.id} is {stream.phase} without a reason"
    is_timed = bool(state.stream_plan(stream.id).at) and not stream.window.is_open
    if is_timed and (stream.is_active or stream.phase is Phase.QUEUED):
        yield f"{stream.id} is {stream.phase}, and its time of day has not come"
    if stream.phase in (Phase.QUEUED, Phase.RETRYING):
        dependencies = state.stream_plan(stream.id).depends_on
        if any(why_never(state, d) for d in dependencies):
            yield f"{stream.id} is {stream.phase} though it can never have what it needs"
    if stream.phase is Phase.WAITING and state.base is not None and not state.has_ended:
        dependencies = state.stream_plan(stream.id).depends_on
        if any(why_never(state, d) for d in dependencies):
            yield f"{stream.id} waits for what can never happen"
        elif all(is_met(state, d) for d in dependencies) and not is_awaited(stream):
            yield f"{stream.id} waits although nothing is missing"


def _end(state: State) -> Iterator[str]:
    if not state.has_ended:
        return
    if state.counts.active:
        yield f"the run is {state.phase}, but {state.counts.active} streams are active"
    if state.teardowns.owed:
        yield f"the run is {state.phase}, but teardowns of {sorted(state.teardowns.owed)} are owed"
    for point in state.points.values():
        if point.resolving:
            yield f"the run is {state.phase}, but the resolver of {point.id} is at work"
    if state.phase is RunPhase.CONVERGED:
        for plan in state.plan.streams:
            if not plan.optional and speaks_against(state, plan):
                yield f"the run converged, but {plan.id} is {state.streams[plan.id].phase}"
        why = why_not_converged(state)
        if why:
            yield f"the run converged, but {why}"
