"""Assigning streams to the queues of slots, and stealing from them: what a load balancer sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, cast

import msgspec

from anabranch.core.ids import StreamId
from anabranch.core.strategies.balancing import LoadBalancer, QueuedStream


class SlotQueue(msgspec.Struct, frozen=True):
    """A slot with the queue that it owns.

    ``last`` is the stream that runs there, or ran there last, None if nobody did, and
    ``last_capabilities`` are that one's. One that ``is_free`` can take somebody at once; in another
    one, who runs is expected to go on for ``rest_seconds``. ``streams`` wait for this slot and may
    start now, the most urgent first. While a steal ``is_under_way`` it is the thief or the victim
    of one that has been asked for, and not yet answered.
    """

    slot: int
    is_free: bool = True
    rest_seconds: float = 0.0
    last: StreamId | None = None
    last_capabilities: tuple[str, ...] = ()
    streams: Sequence[QueuedStream] = ()
    is_under_way: bool = False


class Assigning(msgspec.Struct, frozen=True):
    """What a load balancer sees that has slots own queues.

    ``queue`` is the common one: who may start now and waits in no slot's queue, in the order of
    their ranks, as for placing. ``slots`` are all that may own a queue: those within the width,
    without the ones whose stream runs far beyond its estimate, or for nobody knows how long.
    ``seed`` is a number of this run's and this moment's own, to draw from. ``options`` are those of
    the plan, if they are for this balancer.
    """

    queue: Sequence[QueuedStream]
    slots: Sequence[SlotQueue]
    max_parallel: int = 1
    seed: int = 0
    options: Mapping[str, object] = {}


class Assignment(msgspec.Struct, frozen=True):
    """This stream waits for the slot of this number; the reason is what people see."""

    stream: StreamId
    slot: int
    reason: str


class Steal(msgspec.Struct, frozen=True):
    """The slot ``thief`` takes these streams out of the queue of the slot ``victim``."""

    thief: int
    victim: int
    streams: tuple[StreamId, ...]
    reason: str


class Assigns(LoadBalancer, Protocol):
    """A load balancer that has slots own queues."""

    def assign(self, view: Assigning, now: float) -> Sequence[Assignment | Steal]:
        """Return who is to wait for which slot, and who is to be stolen, at run time ``now``."""
        ...


def assigning(balancer: object) -> Assigns | None:
    """Return a load balancer as one that has slots own queues, None if it does not."""
    return cast(Assigns, balancer) if callable(getattr(balancer, "assign", None)) else None


def most_stolen(waiting: int) -> int:
    """Return how many a steal takes at the most of so many: half, rounded up."""
    return (waiting + 1) // 2
