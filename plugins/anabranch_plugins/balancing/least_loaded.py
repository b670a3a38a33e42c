"""Least loaded: the most urgent stream, in the slot that has had the least work."""

from __future__ import annotations

from anabranch.core.strategies import Placement, Placing, by_urgency, paired, that_fit


class LeastLoaded:
    """Spreads work evenly over the slots, by the seconds that each has been busy."""

    name = "least-loaded"

    def place(self, view: Placing, now: float) -> tuple[Placement, ...]:
        """Return who starts where; the most urgent in the least busy slot."""
        slots = sorted(view.slots, key=lambda slot: (slot.busy_seconds, slot.number))
        return paired(that_fit(by_urgency(view), view), slots, "the slot with the least work")
