"""The queues that slots own, as people and scripts see them."""

from __future__ import annotations

from typing import Any

from anabranch.core.ids import StreamId
from anabranch.core.model.queues import Place
from anabranch.core.model.state import State


def place_in_slot_queue(state: State, stream: StreamId) -> tuple[int, int, Place] | None:
    """Return for which slot a stream waits, at which place, from 1, and why; None if for any."""
    home = state.queues.homes.get(stream)
    if home is None:
        return None
    places = state.queues.of(home).places
    found = next(number for number, place in enumerate(places) if place.stream == stream)
    return home, found + 1, places[found]


def queue_status(state: State, stream: StreamId) -> dict[str, Any] | None:
    """Return the same as ``queue`` of ``status --json``."""
    found = place_in_slot_queue(state, stream)
    if found is None:
        return None
    slot, position, place = found
    return {"slot": slot, "position": position, "because": place.reason}


def queue_in_words(state: State, stream: StreamId) -> str:
    """Return in whose queue a stream waits, as people read it; empty if in the common one."""
    found = place_in_slot_queue(state, stream)
    if found is None:
        return ""
    slot, position, _ = found
    return f"{_ordinal(position)} in the queue of slot {slot}"


_WORDS = ("first", "second", "third", "fourth", "fifth")


def _ordinal(number: int) -> str:
    return _WORDS[number - 1] if number <= len(_WORDS) else f"number {number}"
