"""The queues that slots own, as values: who waits for which slot, and what is being stolen.

A stream that is ready waits in the queue of one slot, where something near to it is still warm, or
in the common queue, from which any slot takes. Which of the two is written down, so that a run that
is resumed has the same queues; the balancer keeps nothing. A steal is known from the moment in
which it is asked for until all that was stolen has started, or is elsewhere: whatever happens in
between, each stream is in one place.
"""

from __future__ import annotations

from typing import Any

import msgspec
from rpds import HashTrieMap

from anabranch.core.events import QueuedAttempt
from anabranch.core.ids import Attempt, Seq, StreamId


class Place(msgspec.Struct, frozen=True, gc=False):
    """A stream in the queue of a slot, and why it waits there."""

    stream: StreamId
    attempt: Attempt
    reason: str = ""


class Queue(msgspec.Struct, frozen=True, gc=False):
    """The queue of one slot, the most urgent first; ``version`` counts its changes."""

    slot: int
    version: int = 0
    places: tuple[Place, ...] = ()

    @property
    def streams(self) -> tuple[QueuedAttempt, ...]:
        """Who waits, as events tell it."""
        return tuple(QueuedAttempt(stream=p.stream, attempt=p.attempt) for p in self.places)


class StealUnderWay(msgspec.Struct, frozen=True, gc=False):
    """What a slot (``thief``) has asked another one (``victim``) for, and when (run seconds).

    ``incarnation`` is how many leases the thief had had then, ``version`` that of the victim's
    queue. Once it ``is_released``, ``streams`` are those that have not started yet.
    """

    number: Seq
    thief: int
    incarnation: int
    victim: int
    version: int
    streams: tuple[QueuedAttempt, ...]
    asked_at: float
    is_released: bool = False


class Stealing(msgspec.Struct, frozen=True, gc=False):
    """How often something was asked for, stolen and refused so far, and how many streams were."""

    asked: int = 0
    stolen: int = 0
    refused: int = 0
    streams: int = 0
    given_back: int = 0


class Queues(msgspec.Struct, frozen=True, gc=False):
    """All queues that were ever used, by slot, and all steals under way, by number.

    ``homes`` says in whose queue a stream waits, ``moving`` with which steal it came there.
    """

    of_slots: HashTrieMap[int, Queue] = HashTrieMap()
    steals: HashTrieMap[Seq, StealUnderWay] = HashTrieMap()
    homes: HashTrieMap[StreamId, int] = HashTrieMap()
    moving: HashTrieMap[StreamId, Seq] = HashTrieMap()
    tally: Stealing = Stealing()

    def of(self, slot: int) -> Queue:
        """Return the queue of a slot; one that was never used is empty."""
        return self.of_slots.get(slot) or Queue(slot)

    def wanted_by(self, stream: StreamId) -> str:
        """Return for which slot a stream waits, in words; empty if for any."""
        home = self.homes.get(stream)
        return "" if home is None else f"slot {home}"


def queues_of(queues: list[Queue], steals: list[StealUnderWay], tally: Stealing) -> Queues:
    """Return queues and steals with their indexes."""
    homes = {place.stream: queue.slot for queue in queues for place in queue.places}
    moving = {q.stream: s.number for s in steals if s.is_released for q in s.streams}
    return Queues(
        HashTrieMap({queue.slot: queue for queue in queues}),
        HashTrieMap({steal.number: steal for steal in steals}),
        HashTrieMap(homes),
        HashTrieMap(moving),
        tally,
    )


def pack(queues: Queues) -> dict[str, Any]:
    """Return what of the queues a snapshot has to hold; the rest follows from it."""
    return {
        "of_slots": [queues.of_slots[slot] for slot in sorted(queues.of_slots)],
        "steals": [queues.steals[number] for number in sorted(queues.steals)],
        "tally": queues.tally,
    }


def unpack(raw: Any) -> Queues:
    """Return the queues that a snapshot holds. Raises msgspec.ValidationError."""
    return queues_of(
        msgspec.convert(raw["of_slots"], list[Queue]),
        msgspec.convert(raw["steals"], list[StealUnderWay]),
        msgspec.convert(raw["tally"], Stealing),
    )
