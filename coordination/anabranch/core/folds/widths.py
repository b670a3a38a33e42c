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


def begun(state: State, stream: Stream, at: float) -> Stream:
    """Return a stream that has just begun."""
    return replace(stream, began_at_active=_active_seconds(state, at))


def measured(state: State, stream: Stream, at: float) -> Stream:
    """Return a stream that has just exited, with how many were active beside it."""
    seconds = at - stream.started_at if stream.started_at is not None else 0.0
    if seconds <= 0:
        return stream
    width = (_active_seconds(state, at) - stream.began_at_active) / seconds
    return replace(stream, worked=replace(stream.worked, width=max(1.0, round(width, 2))))


def _started(state: State, record: ev.Recorded, event: ev.StreamStarted) -> State:
    return _with_stream(state, begun(state, state.streams[event.stream], record.at))


def _exited(state: State, record: ev.Recorded, event: ev.StreamExited) -> State:
    return _with_stream(state, measured(state, state.streams[event.stream], record.at))


ALSO: dict[type[ev.StreamEvent], Callable[[State, ev.Recorded, Any], State]] = {
    ev.StreamStarted: _started,
    ev.StreamExited: _exited,
}
