"""What is owed to workspaces that are left, and what comes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.model.state import State
from anabranch.core.model.teardowns import Teardown

SAYS = "teardown"
"""How a warning begins that is about a teardown: later attempts keep it."""


def _requested(state: State, record: ev.Recorded, event: ev.TeardownRequested) -> State:
    owed = state.teardowns.with_owed(event.stream, Teardown(event.attempt, record.seq))
    return replace(state, teardowns=owed)


def _finished(state: State, record: ev.Recorded, event: ev.TeardownFinished) -> State:
    state = replace(state, teardowns=state.teardowns.without(event.stream, event.attempt))
    if not event.failure:
        return state
    stream = state.streams[event.stream]
    warning = f"{SAYS} of attempt {event.attempt}: {event.failure}"
    stream = replace(stream, warnings=(*stream.warnings, warning))
    return replace(state, streams=state.streams.insert(stream.id, stream))


ALSO: dict[type[ev.StreamEvent], Callable[[State, ev.Recorded, Any], State]] = {
    ev.TeardownRequested: _requested,
    ev.TeardownFinished: _finished,
}
