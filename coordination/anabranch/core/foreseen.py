"""What the state keeps of foreseen conflicts, and how their events change it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.ids import Attempt, StreamId

if TYPE_CHECKING:
    from anabranch.core.state import State

Pair = tuple[StreamId, StreamId]


class Foreseen(msgspec.Struct, frozen=True):
    """A conflict between two streams as they are now; ``is_told``: both were sent a message."""

    streams: Pair
    attempts: tuple[Attempt, Attempt]
    paths: tuple[ev.ConflictedPath, ...]
    since: float
    is_told: bool = False


def _foreseen(state: State, record: ev.Recorded, event: ev.ConflictForeseen) -> State:
    known = state.foreseen.get(event.streams)
    since = record.at if known is None else known.since
    found = Foreseen(event.streams, event.attempts, event.paths, since)
    return replace(state, foreseen=state.foreseen.insert(event.streams, found))


def _cleared(state: State, record: ev.Recorded, event: ev.ConflictCleared) -> State:
    if event.streams not in state.foreseen:
        return state
    return replace(state, foreseen=state.foreseen.remove(event.streams))


def _told(state: State, record: ev.Recorded, event: ev.ConflictTold) -> State:
    known = state.foreseen.get(event.streams)
    if known is None:
        return state
    told = replace(known, is_told=True)
    return replace(state, foreseen=state.foreseen.insert(event.streams, told))


FOLDS: dict[type[ev.Event], Any] = {
    ev.ConflictForeseen: _foreseen,
    ev.ConflictCleared: _cleared,
    ev.ConflictTold: _told,
}
