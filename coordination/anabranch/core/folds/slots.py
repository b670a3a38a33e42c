"""What an admission, and whatever ends an attempt, changes about slots."""

from __future__ import annotations

from msgspec.structs import replace
from rpds import HashTrieMap

from anabranch.core import events as ev
from anabranch.core.model.slots import Slot, first_free, slot_of
from anabranch.core.model.state import Stream


def slot_for(slots: HashTrieMap[int, Slot], event: ev.StreamAdmitted | ev.StreamCopied) -> Slot:
    """Return the slot that a stream is admitted to, as it is before.

    Journals from before there were slots name none: it is the first free one then.
    """
    named = slot_of(slots, event.slot) if event.slot > 0 else None
    return named if named is not None and named.is_free else first_free(slots)


def moved(
    slots: HashTrieMap[int, Slot], stream: Stream, was_active: bool, at: float
) -> HashTrieMap[int, Slot]:
    """Return the slots after a stream's phase has changed; work that is kept again takes none."""
    if stream.is_active == was_active or stream.is_captured_again:
        return slots
    if stream.is_active:
        return _leased(slots, stream, at)
    return _released(slots, stream, at)


def _leased(slots: HashTrieMap[int, Slot], stream: Stream, at: float) -> HashTrieMap[int, Slot]:
    slot = slot_of(slots, stream.slot)
    return slots.insert(
        slot.number, replace(slot, incarnation=stream.incarnation, runs=stream.id, since=at)
    )


def _released(slots: HashTrieMap[int, Slot], stream: Stream, at: float) -> HashTrieMap[int, Slot]:
    slot = slots.get(stream.slot)
    if slot is None or slot.runs != stream.id:
        return slots
    busy = slot.busy_seconds + max(0.0, at - slot.since)
    free = replace(slot, runs=None, last=stream.id, since=at, busy_seconds=busy)
    return slots.insert(slot.number, free)
