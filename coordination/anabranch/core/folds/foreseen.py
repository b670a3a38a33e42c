"""What events change about foreseen conflicts."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.model.foreseen import Foreseen
from anabranch.core.model.state import State


def _foreseen(state: State, record: ev.Recorded, event: ev.ConflictForeseen) -> State:
    known = state.foreseen.get(event.streams)
    since = record.at if known is None else known.since
    found = Foreseen(event.streams, event.attempts, event.paths, since)
    return replace(state, foreseen=state.foreseen.insert(event.streams, found))


def _cleared(state: State, record: ev.Recorded, event: ev.ConflictCleared) -> State:
    if event.streams not in state.foreseen:
        return state
    return replace(state, foreseen=state.foreseen.remove(event.streams))


def _both_know(state: State, record: ev.Recorded, event: ev.ConflictTold) -> State:
    known = state.foreseen.get(event.streams)
    if known is None:
        return state
    after = replace(known, is_told=True)
    return replace(state, foreseen=state.foreseen.insert(event.streams, after))


FOLDS: dict[type[ev.Event], Any] = {
    ev.ConflictForeseen: _foreseen,
    ev.ConflictCleared: _cleared,
    ev.ConflictTold: _both_know,
}
