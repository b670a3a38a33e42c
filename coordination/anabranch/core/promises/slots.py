"""What must hold of slots: each has one stream, and each active stream has one slot."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core.model.slots import Slot
from anabranch.core.model.state import State


def broken_leases(state: State) -> Iterator[str]:
    """Yield what does not fit of slots and the streams that run in them."""
    active = {s.id for s in state.streams.values() if s.is_active and not s.is_captured_again}
    leased = [slot for slot in state.slots.values() if not slot.is_free]
    running = [slot.runs for slot in leased]
    if len(running) != len(set(running)) or set(running) != active:
        yield f"slots are leased to {sorted(map(str, running))}, and {sorted(active)} are active"
    for number, slot in state.slots.items():
        yield from _broken_lease(state, number, slot)


def _broken_lease(state: State, number: int, slot: Slot) -> Iterator[str]:
    if slot.number != number or not 1 <= number <= state.widest:
        yield f"slot {slot.number} is kept as {number}, of {state.widest}"
    if slot.runs is None:
        return
    stream = state.streams[slot.runs]
    if (stream.slot, stream.incarnation) != (number, slot.incarnation):
        lease = f"incarnation {slot.incarnation} of slot {number}"
        yield f"{lease} is {stream.id}'s, who has {stream.incarnation} of {stream.slot}"
