"""From evidence to a name for the trouble."""

from __future__ import annotations

from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.resources import excess_key
from anabranch.core.model.state import State, Stream
from anabranch.core.strategies.failures import ENDED
from anabranch.core.strategies.remedies import Trouble

NEVER_STARTED, SILENT, HOLDS_UP = "never started", "silent", "holds up a convergence point"
CRASHED, CRASH_LOOP, CANNOT_START = "crashed", "crash loop", "cannot start"
ENDED_HERE = "ended"
HOG, WAITS, WELL = "resource hog", "waits", "well"

_OF_VERDICTS = {"never_heard": NEVER_STARTED, "stalled": SILENT}


def diagnose(state: State, stream: Stream) -> str:
    """Return what is wrong with a stream, as far as its state tells; *well* if nothing is."""
    if stream.care.remedy:
        return stream.care.diagnosis
    if stream.phase is Phase.RUNNING and stream.liveness.verdict:
        return _OF_VERDICTS.get(stream.liveness.verdict, stream.liveness.verdict)
    if stream.phase is Phase.RUNNING and held_up_by(state, stream.id):
        return HOLDS_UP
    if stream.phase is Phase.RUNNING and exceeds(state, stream.id):
        return HOG
    if stream.phase in (Phase.RETRYING, Phase.FAILED):
        if stream.failure_class == ENDED.name:  # it did not crash: it was ended, and for this
            return stream.care.diagnosis or ENDED_HERE
        return diagnosis_of_failure(stream)
    return WAITS if stream.phase is Phase.BLOCKED else WELL


def diagnosis_of_failure(stream: Stream) -> str:
    """Return the name for an end without success."""
    if stream.exit is not None and (stream.exit.error or stream.exit.code in (126, 127)):
        return CANNOT_START
    return CRASH_LOOP if stream.retries > 1 else CRASHED


def exceeds(state: State, stream: StreamId) -> bool:
    """Return whether a stream uses more of something than it was granted."""
    return any(key.startswith(excess_key(stream, "")) for key in state.resources.exceeded)


def held_up_by(state: State, stream: StreamId) -> PointId | None:
    """Return a point that is overdue because of a stream, if there is one."""
    for point_id in state.stream_plan(stream).points:
        point = state.points[point_id]
        if point.is_overdue and stream not in point.arrived and stream not in point.departed:
            return point_id
    return None


def trouble_of(state: State, stream: Stream, diagnosis: str, evidence: str) -> Trouble:
    """Return what a remedy is told."""
    plan = state.stream_plan(stream.id)
    return Trouble(
        stream=stream.id,
        attempt=stream.attempt,
        diagnosis=diagnosis,
        evidence=evidence,
        hard_recoveries=stream.care.hard_recoveries,
        max_retries=plan.max_retries,
        grace_seconds=state.plan.soft_grace_seconds,
        is_optional=plan.optional,
    )
