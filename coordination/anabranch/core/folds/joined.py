"""What events change about streams that joined by themselves, and what they answer."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.calls import Answer
from anabranch.core.folds.answers import Answering
from anabranch.core.folds.messages import stream_moved
from anabranch.core.model.joined import BEATS_KEPT, JoinedStream, Registry
from anabranch.core.model.state import State


def _joined(state: State, record: ev.Recorded, event: ev.StreamJoined) -> State:
    return _moved(
        state,
        JoinedStream(
            event.stream,
            event.attempt,
            event.capabilities,
            event.depends_on,
            record.at,
            record.seq,
            event.request,
            event.is_ready,
        ),
    )


def _ready(state: State, record: ev.Recorded, event: ev.StreamReady) -> State:
    found = state.registry.joined.get(event.stream)
    return _with(state, replace(found, is_ready=True)) if found else state


def _left(state: State, record: ev.Recorded, event: ev.StreamLeft) -> State:
    found = state.registry.joined.get(event.stream)
    if found is None:
        return state
    after = replace(
        found,
        has_left=True,
        has_succeeded=event.has_succeeded,
        reason=event.reason,
        ended_at=record.at,
    )
    return _moved(state, after)


def with_status(state: State, record: ev.Recorded, event: ev.StreamHeartbeat) -> State:
    """Return the state in which a joined stream has said what it is doing."""
    found = state.registry.joined.get(event.stream)
    if found is None:
        return state
    after = replace(
        found,
        status=event.status,
        status_at=record.at,
        progress=event.progress,
        info=event.info,
        beats_at=(*found.beats_at, record.at)[-BEATS_KEPT:],
    )
    return _with(state, after)


def _moved(state: State, stream: JoinedStream) -> State:
    """Return the state after a stream has joined or left: broadcasts are for it in between."""
    moved = stream_moved(state.messages, stream.id, has_ended=stream.has_left)
    return _with(replace(state, messages=moved), stream)


def _with(state: State, stream: JoinedStream) -> State:
    joined = state.registry.joined.insert(stream.id, stream)
    return replace(state, registry=Registry(joined))


FOLDS: dict[type[ev.Event], Any] = {
    ev.StreamJoined: _joined,
    ev.StreamReady: _ready,
    ev.StreamLeft: _left,
}


def _joined_answer(state: State, record: ev.Recorded, event: ev.StreamJoined) -> Answer:
    facts = {"stream": event.stream, "attempt": event.attempt}
    if event.is_ready:
        return Answer("done", facts)
    return Answer("waiting", {**facts, "ticket": str(record.seq), "for": list(event.depends_on)})


def _ready_answer(state: State, record: ev.Recorded, event: ev.StreamReady) -> Answer:
    return Answer("done", {"stream": event.stream, "attempt": event.attempt})


def _left_answer(state: State, record: ev.Recorded, event: ev.StreamLeft) -> Answer:
    if not event.was_waiting:
        return Answer("done")
    return Answer("refused", {"reason": event.reason, "hint": "register it again"})


ANSWERS: dict[type[ev.Event], Answering] = {
    ev.StreamJoined: _joined_answer,
    ev.StreamLeft: _left_answer,
    ev.StreamReady: _ready_answer,
}
