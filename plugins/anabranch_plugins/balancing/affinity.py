"""Affinity: a stream prefers a slot in which something near to it ran last, at a price.

Near is a stream's own earlier attempt, a stream that it depends on, and one with a capability in
common: what it needs may still be warm there. The preference is worth so many seconds of urgency
(``price_seconds``) and never more: a stream goes before a more urgent one only if that one is more
urgent by less, and nobody ever waits for a slot of his own.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from typing import Annotated

import msgspec
from msgspec import Meta

from anabranch.core.strategies import (
    FreeSlot,
    Placement,
    Placing,
    Room,
    by_urgency,
    rank_of,
)
from anabranch_plugins.balancing.nearness import Key, keys_at, keys_of


class AffinityOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``price_seconds``: how much less urgent a stream may be that goes first, being near."""

    price_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 10.0


class Affinity:
    """Places by urgency, and lets what is near to a slot go first within the price."""

    name = "affinity"
    options_type = AffinityOptions

    def place(self, view: Placing, now: float) -> tuple[Placement, ...]:
        """Return who starts where: first those that are near to a slot, then the most urgent."""
        options = msgspec.convert(view.options, AffinityOptions, from_attributes=True)
        desk = _Desk(view)
        for slot in view.slots:
            desk.place_who_is_near(slot, options.price_seconds)
        desk.place_the_others()
        return tuple(desk.placed)


class _Desk:
    """Who is placed so far, of a queue in order of urgency."""

    def __init__(self, view: Placing) -> None:
        self.placed: list[Placement] = []
        self._queue = by_urgency(view)
        self._open = {slot.number: slot for slot in view.slots}
        self._room = Room(view.free)
        self._is_placed = [False] * len(self._queue)
        self._near: defaultdict[Key, deque[int]] = defaultdict(deque)
        for index, stream in enumerate(self._queue):
            for key in keys_of(stream):
                self._near[key].append(index)
        self._last = min(len(view.slots), len(self._queue)) - 1
        """The least urgent of those that would be placed if the rest went by urgency."""
        self._lowest = -math.inf
        """The rank of the least urgent one that is placed."""

    def place_who_is_near(self, slot: FreeSlot, price_seconds: float) -> None:
        """Place the most urgent one that is near to a slot, if nobody pays more than the price."""
        found = min(filter(None, map(self._most_urgent, keys_at(slot))), default=None)
        if found is None:
            return
        index = found - 1
        stream, displaced = self._queue[index], self._queue[self._last]
        lowest = max(self._lowest, rank_of(stream)[0])
        if index > self._last and lowest > rank_of(displaced)[0] + price_seconds:
            return
        if self._room.take(stream.resources):
            self._lowest = lowest
            self._place(index, slot, f"near to {slot.last}, which ran there last")

    def place_the_others(self) -> None:
        """Place the most urgent ones in the slots that are left."""
        for index, stream in enumerate(self._queue):
            if not self._open:
                return
            if not self._is_placed[index] and self._room.take(stream.resources):
                self._place(index, next(iter(self._open.values())), "the most urgent")

    def _place(self, index: int, slot: FreeSlot, reason: str) -> None:
        self.placed.append(Placement(self._queue[index].stream, slot.number, reason))
        self._is_placed[index] = True
        del self._open[slot.number]
        if index >= self._last:
            self._last -= 1
        while self._last > 0 and self._is_placed[self._last]:
            self._last -= 1

    def _most_urgent(self, key: Key) -> int:
        """Return the place in the queue, from 1, of the first one near to a key; 0 if none is."""
        near = self._near.get(key)
        while near and self._is_placed[near[0]]:
            near.popleft()
        return near[0] + 1 if near else 0
