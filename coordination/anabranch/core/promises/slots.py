"""What must hold of slots: each has one stream, and each active stream has one slot."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core.folds.copies import by_slot
from anabranch.core.model.slots import Slot
from anabranch.core.model.state import State


def broken_leases(state: State) -> Iterator[str]:
    """Yield what does not fit of slots and the streams that run in them."""
    jobs = (s for s in state.streams.values() if not state.stream_plan(s.id).is_service)
    streams = (s for s in jobs if s.is_active and not s.is_captured_again)
    copies = (copy.run for copy in state.copies.values() if copy.run.is_active)
    active = sorted(stream.id for stream in (*streams, *copies))
    running = sorted(slot.runs for slot in state.slots.values() if slot.runs is not None)
    if running != active:
        yield f"slots are leased to {running}, and {active} are active"
    for number, slot in state.slots.items():
        yield from _broken_lease(state, number, slot)


def _broken_lease(state: State, number: int, slot: Slot) -> Iterator[str]:
    if slot.number != number or not 1 <= number <= state.widest:
        yield f"slot {slot.number} is kept as {number}, of {state.widest}"
    if slot.runs is None:
        return
    stream = by_slot(state, slot.runs, number)
    if (stream.slot, stream.incarnation) != (number, slot.incarnation):
        lease = f"incarnation {slot.incarnation} of slot {number}"
        yield f"{lease} is {stream.id}'s, who has {stream.incarnation} of {stream.slot}"
