"""Two choices: of two slots that are drawn, the less busy one (Mitzenmacher 2001).

Two random choices spread work nearly as evenly as looking at all slots, and look at two. What is
drawn follows from the seed of the view, so the same view always gives the same answer.
"""

from __future__ import annotations

from random import Random

from anabranch.core.strategies import FreeSlot, Placement, Placing, by_urgency, that_fit


class TwoChoices:
    """Places the most urgent stream in the less busy one of two slots that are drawn."""

    name = "two-choices"

    def place(self, view: Placing, now: float) -> tuple[Placement, ...]:
        """Return who starts where."""
        draw, slots = Random(view.seed), list(view.slots)
        return tuple(
            Placement(stream.stream, _taken(slots, draw).number, "the less busy of two slots")
            for stream in that_fit(by_urgency(view), view)
        )


def _taken(slots: list[FreeSlot], draw: Random) -> FreeSlot:
    """Take the less busy of two slots that are drawn out of the list."""
    places = draw.sample(range(len(slots)), min(2, len(slots)))
    best = min(places, key=lambda place: (slots[place].busy_seconds, slots[place].number))
    slots[best], slots[-1] = slots[-1], slots[best]
    return slots.pop()
