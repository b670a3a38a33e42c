"""Slots: the places in which streams run, as values.

They are numbered from 1 up to the width of the run. Each lease of a slot is an incarnation of its
own, so that what is said of an earlier one can be told apart. A stream that waits, or waits to be
tried again, holds none; where the width has been narrowed, the slots beyond it run out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count

import msgspec

from anabranch.core.ids import StreamId


class Slot(msgspec.Struct, frozen=True, gc=False):
    """One slot: who ``runs`` in it, and who ran in it ``last`` before that.

    ``incarnation`` counts its leases, ``since`` is when it was leased or became free (run seconds),
    and ``busy_seconds`` is how long it was leased, the present lease left out.
    """

    number: int
    incarnation: int = 0
    runs: StreamId | None = None
    since: float = 0.0
    last: StreamId | None = None
    busy_seconds: float = 0.0

    @property
    def is_free(self) -> bool:
        return self.runs is None


Slots = Mapping[int, Slot]
"""Those that were ever leased, by number."""


def slot_of(slots: Slots, number: int) -> Slot:
    """Return a slot by its number; one that was never leased is as good as any."""
    return slots.get(number) or Slot(number)


def free_slots(slots: Slots, width: int) -> Iterator[Slot]:
    """Yield the free ones among the first ``width`` slots, in order."""
    for number in range(1, width + 1):
        slot = slot_of(slots, number)
        if slot.is_free:
            yield slot


def first_free(slots: Slots) -> Slot:
    """Return the free slot with the smallest number, whatever the width."""
    return next(slot for n in count(1) if (slot := slot_of(slots, n)).is_free)
