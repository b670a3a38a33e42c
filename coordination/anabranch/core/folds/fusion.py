"""What is learned about workspaces while they are made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.model.fusion import Fusion
from anabranch.core.model.state import State


def _prepared(state: State, record: ev.Recorded, event: ev.WorkspacePrepared) -> State:
    known, stream = state.fusion, state.streams[event.stream]
    if event.taken_from:
        return replace(state, fusion=replace(known, taken_over=known.taken_over + 1))
    if stream.attempt > 1 or state.stream_plan(stream.id).workspace != "isolated":
        return state
    seconds = stream.spent.preparing
    least = seconds if known.own_seconds is None else min(seconds, known.own_seconds)
    return replace(state, fusion=Fusion(least, known.taken_over))


ALSO: dict[type[ev.StreamEvent], Callable[[State, ev.Recorded, Any], State]] = {
    ev.WorkspacePrepared: _prepared,
}
