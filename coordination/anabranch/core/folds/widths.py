"""How many streams were active at a time while one ran, in the mean: durations depend on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.model.state import State, Stream


def _active_seconds(state: State, at: float) -> float:
    return state.active_seconds + state.counts.active * (at - state.at)


def _with_stream(state: State, stream: Stream) -> State:
    return replace(state, streams=state.streams.insert(stream.id, stream))


def _started(state: State, record: ev.Recorded, event: ev.StreamStarted) -> State:
    stream = state.streams[event.stream]
    return _with_stream(state, replace(stream, began_at_active=_active_seconds(state, record.at)))


def _exited(state: State, record: ev.Recorded, event: ev.StreamExited) -> State:
    stream = state.streams[event.stream]
    seconds = record.at - stream.started_at if stream.started_at is not None else 0.0
    if seconds <= 0:
        return state
    width = (_active_seconds(state, record.at) - stream.began_at_active) / seconds
    worked = replace(stream.worked, width=max(1.0, round(width, 2)))
    return _with_stream(state, replace(stream, worked=worked))


ALSO: dict[type[ev.StreamEvent], Callable[[State, ev.Recorded, Any], State]] = {
    ev.StreamStarted: _started,
    ev.StreamExited: _exited,
}
