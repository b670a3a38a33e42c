"""Round robin: streams in the order in which they became ready, slots in turn."""

from __future__ import annotations

from anabranch.core.strategies import Placement, Placing, paired, that_fit


class RoundRobin:
    """Places whoever has been ready longest in the slot that has had the fewest streams."""

    name = "round-robin"

    def place(self, view: Placing, now: float) -> tuple[Placement, ...]:
        """Return who starts where; the smallest leases and numbers come first."""
        queue = sorted(view.queue, key=lambda stream: (stream.queued_at, stream.position))
        slots = sorted(view.slots, key=lambda slot: (slot.leases, slot.number))
        return paired(that_fit(queue, view), slots, "the slot's turn, and ready longest")
