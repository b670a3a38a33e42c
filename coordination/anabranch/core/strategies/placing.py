"""Placing streams in slots: what the built-in balancers, and those of plugins, are made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import cast

from anabranch.core.strategies.assigning import assigning
from anabranch.core.strategies.balancing import (
    FreeSlot,
    LoadBalancer,
    Placement,
    Places,
    Placing,
    QueuedStream,
    Ranks,
)
from anabranch.core.strategies.urgency import rank_of

ROUNDING = 1e-6


class Room:
    """What is left of the resources while streams are placed, one after the other."""

    def __init__(self, free: Mapping[str, float]) -> None:
        self._left = dict(free)

    def take(self, amounts: Mapping[str, float]) -> bool:
        """Take amounts if all of them are there; return whether they were."""
        left = self._left
        if any(amount > left.get(name, amount) + ROUNDING for name, amount in amounts.items()):
            return False
        for name, amount in amounts.items():
            if name in left:
                left[name] -= amount
        return True


def that_fit(streams: Iterable[QueuedStream], view: Placing) -> Iterator[QueuedStream]:
    """Yield the streams for which there is room beside those before them: one for each slot."""
    room, left = Room(view.free), len(view.slots)
    for stream in streams:
        if not left:
            return
        if room.take(stream.resources):
            left -= 1
            yield stream


def by_urgency(view: Placing) -> list[QueuedStream]:
    """Return the queue, the most urgent first; ties go by plan order."""
    return sorted(view.queue, key=lambda stream: (rank_of(stream), stream.position))


def paired(
    streams: Iterable[QueuedStream], slots: Iterable[FreeSlot], reason: str
) -> tuple[Placement, ...]:
    """Return each stream placed in a slot, in the order of both."""
    return tuple(
        Placement(stream.stream, slot.number, reason)
        for stream, slot in zip(streams, slots, strict=False)
    )


def in_order(view: Placing, reason: str) -> tuple[Placement, ...]:
    """Return the places that a balancer leads to that only ranks: the head, the lowest slot."""
    return paired(that_fit(view.queue, view), view.slots, reason)


def ranking(balancer: LoadBalancer) -> Ranks:
    """Return what orders the queue under a load balancer: itself, or urgency if it only places."""
    return cast(Ranks, balancer) if callable(getattr(balancer, "rank", None)) else BY_URGENCY


def placing(balancer: LoadBalancer) -> Places | None:
    """Return a load balancer as one that places, None if it only ranks."""
    if callable(getattr(balancer, "place", None)):
        return cast(Places, balancer)
    return OWN_QUEUE_FIRST if assigning(balancer) else None


class ByUrgency:
    """Orders the queue of balancers that only place."""

    name = "core.by-urgency"

    def rank(self, view: QueuedStream) -> tuple[float, ...]:
        """Return where a stream stands."""
        return rank_of(view)


BY_URGENCY = ByUrgency()


class OwnQueueFirst:
    """Places for balancers that have slots own queues, and do not place themselves."""

    name = "core.own-queue-first"

    def place(self, view: Placing, now: float) -> tuple[Placement, ...]:
        """Return the head of each slot's own queue, else of the common one."""
        room, placed = Room(view.free), list[Placement]()
        common = [stream for stream in view.queue if not stream.own_slot]
        for slot in view.slots:
            own = (stream for stream in view.queue if stream.own_slot == slot.number)
            found = next((s for s in (*own, *common) if room.take(s.resources)), None)
            if found is None:
                continue
            if found.own_slot:
                reason = "the first in the slot's own queue"
            else:
                common.remove(found)
                reason = "the first in the common queue"
            placed.append(Placement(found.stream, slot.number, reason))
        return tuple(placed)


OWN_QUEUE_FIRST = OwnQueueFirst()
