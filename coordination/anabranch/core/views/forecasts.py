"""What would follow from a command, found by the rules that the engine itself decides by."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.calls import OPERATOR, Unlock
from anabranch.core.deciding.decide import decide
from anabranch.core.deciding.streams.scheduling import why_never
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State
from anabranch.core.strategies import Strategies

_NOBODY_ELSES = Strategies({}, {}, {})


def granted_by_revoking(state: State, path: str, now: float) -> list[ev.LockGranted]:
    """Return the locks that others would get if a path's were taken away."""
    call = Unlock(OPERATOR, "forecast", path=path)
    outcome = decide(state, call, now, _NOBODY_ELSES)
    if isinstance(outcome, Refusal):
        return []
    return [r.event for r in outcome.events if isinstance(r.event, ev.LockGranted)]


def skipped_without(state: State, stopped: Sequence[StreamId]) -> list[StreamId]:
    """Return the streams that could never run if some were stopped, in the order of the graph."""
    after = _with_phase(state, stopped, Phase.STOPPED)
    family = {d for s in stopped for d in state.topology.descendants(s)} - set(stopped)
    skipped: list[StreamId] = []
    for stream in state.topology.in_merge_order(family):
        found = state.streams[stream]
        if found.phase not in (Phase.WAITING, Phase.QUEUED, Phase.RETRYING):
            continue
        if any(why_never(after, d) for d in state.stream_plan(stream).depends_on):
            skipped.append(stream)
            after = _with_phase(after, [stream], Phase.SKIPPED)
    return skipped


def _with_phase(state: State, streams: Sequence[StreamId], phase: Phase) -> State:
    known = state.streams
    for stream in streams:
        known = known.insert(stream, replace(known[stream], phase=phase))
    return replace(state, streams=known)
