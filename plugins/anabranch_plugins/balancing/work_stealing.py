"""Work stealing: slots own queues of what is near to them, and free ones steal from the richest.

A stream waits in the queue of a slot where something near to it runs or ran last, the most urgent
first, while no more than ``queue_seconds`` of work are before it there; else in the common queue. A
free slot takes the first of its own queue, else of the common one. One that finds neither steals
from the slot with the most work in its queue: of the later half as many as begin sooner with the
thief, though what is not near to it pays the price (``price_seconds``) of being cold. So a
preference is worth that many seconds and never more: the common queue goes before a slot's own as
well once its first is more urgent by more (Blumofe and Leiserson 1999; dask's condition on
occupancies).
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from anabranch.core.ids import StreamId
from anabranch.core.strategies import (
    Assigning,
    Assignment,
    Placement,
    Placing,
    QueuedStream,
    Room,
    SlotQueue,
    Steal,
    by_urgency,
    most_stolen,
    rank_of,
)
from anabranch_plugins.balancing.nearness import Key, keys_after, keys_at, keys_of

MOST_VICTIMS = 8
"""A thief looks at so many of the richest queues."""


class WorkStealingOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``price_seconds``: what it costs to run where nothing is warm; ``queue_seconds``: for how
    much work before it a stream waits in the queue of a slot.
    """

    price_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 10.0
    queue_seconds: Annotated[float, Meta(ge=0, le=86_400)] = 180.0


class WorkStealing:
    """Has slots own queues of what is near to them, at a price, and free ones steal."""

    name = "work-stealing"
    options_type = WorkStealingOptions

    def assign(self, view: Assigning, now: float) -> tuple[Assignment | Steal, ...]:
        """Return who waits for which slot, and what free slots steal."""
        options = msgspec.convert(view.options, WorkStealingOptions, from_attributes=True)
        assigned = tuple(_assigned(view, options))
        left = len(view.queue) - len(assigned)
        given = {assignment.slot for assignment in assigned}
        thieves = [slot for slot in view.slots if _is_idle(slot) and slot.slot not in given]
        return (*assigned, *_stolen(view.slots, thieves[left:], options.price_seconds))

    def place(self, view: Placing, now: float) -> tuple[Placement, ...]:
        """Return who starts: the first of a slot's own queue, else of the common one."""
        options = msgspec.convert(view.options, WorkStealingOptions, from_attributes=True)
        return tuple(_placed(view, options.queue_seconds))


# --- whose queue ---------------------------------------------------------------------------------


def _assigned(view: Assigning, options: WorkStealingOptions) -> Iterator[Assignment]:
    """Yield who waits for a slot: for the one of those near to it at which its turn comes first."""
    queues = [_Filling(slot) for slot in view.slots]
    near: defaultdict[Key, dict[int, _Filling]] = defaultdict(dict)
    for queue in queues:
        for key in queue.keys if queue.seconds <= options.queue_seconds else ():
            near[key][queue.slot.slot] = queue
    for stream in sorted(view.queue, key=lambda one: (rank_of(one), one.position)):
        found = [queue for key in keys_of(stream) for queue in near[key].values()]
        best = min(found, key=lambda queue: (queue.seconds, queue.slot.slot), default=None)
        if best is None:
            continue
        reason = f"{best.reason}; elsewhere it costs {options.price_seconds:g} s more"
        yield Assignment(stream.stream, best.slot.slot, reason)
        for key in best.keys:
            del near[key][best.slot.slot]
        best.append(stream)
        for key in best.keys if best.seconds <= options.queue_seconds else ():
            near[key][best.slot.slot] = best


class _Filling:
    """A queue while it grows: how many seconds are before its end, and what is warm by then."""

    def __init__(self, slot: SlotQueue) -> None:
        self.slot = slot
        self.seconds = slot.rest_seconds
        self.keys = set(keys_at(slot))
        where = "which ran there last" if slot.is_free else "which runs there"
        more = ", or to who waits there" if slot.streams else ""
        self.reason = f"near to {slot.last}, {where}{more}"
        for stream in slot.streams:
            self.append(stream)

    def append(self, stream: QueuedStream) -> None:
        is_guess = stream.estimate_basis == "guessed"  # and nobody waits behind a guess
        self.seconds += math.inf if is_guess else stream.estimate_seconds
        self.keys = set(keys_after(stream))


def _seconds_before(slot: SlotQueue, place: int) -> float:
    """Return how long it takes until a place in a queue, from 0, has its turn."""
    return slot.rest_seconds + sum(one.estimate_seconds for one in slot.streams[:place])


# --- stealing ------------------------------------------------------------------------------------


def _is_idle(slot: SlotQueue) -> bool:
    return slot.is_free and not slot.streams and not slot.is_under_way


def _stolen(
    slots: Sequence[SlotQueue], thieves: Sequence[SlotQueue], price_seconds: float
) -> Iterator[Steal]:
    """Yield what each thief takes, from the richest first; each queue is stolen from once."""
    victims = [s for s in slots if s.streams and not s.is_free and not s.is_under_way]
    victims.sort(key=lambda slot: (-sum(s.estimate_seconds for s in slot.streams), slot.slot))
    for thief in thieves:
        for victim in victims[:MOST_VICTIMS]:
            streams = _worth_stealing(thief, victim, price_seconds)
            if streams:
                victims.remove(victim)
                words = f"slot {victim.slot} has the most that waits"
                yield Steal(thief.slot, victim.slot, streams, words)
                break


def _worth_stealing(
    thief: SlotQueue, victim: SlotQueue, price_seconds: float
) -> tuple[StreamId, ...]:
    """Return the later half of a queue, or as much of it as begins sooner with the thief."""
    waiting, warm = victim.streams, set(keys_at(thief))
    for first in range(len(waiting) - most_stolen(len(waiting)), len(waiting)):
        price = 0.0 if warm.intersection(keys_of(waiting[first])) else price_seconds
        if price <= _seconds_before(victim, first):
            return tuple(stream.stream for stream in waiting[first:])
    return ()


# --- who starts ----------------------------------------------------------------------------------


def _placed(view: Placing, most_seconds: float) -> Iterator[Placement]:
    """Yield who starts where; slots without a queue choose first, as others have a choice."""
    room, queues = Room(view.free), defaultdict[int, deque[QueuedStream]](deque)
    for stream in by_urgency(view):
        queues[stream.own_slot].append(stream)
    for slot in sorted(view.slots, key=lambda slot: (slot.number in queues, slot.number)):
        own, common = queues.get(slot.number, deque()), queues[0]
        while own or common:
            is_common = not own or (common and _is_worth_more(common[0], own[0], most_seconds))
            stream = (common if is_common else own).popleft()
            if room.take(stream.resources):  # if not, nor for a slot that comes later
                yield Placement(stream.stream, slot.number, _reason(stream, own))
                break


def _is_worth_more(common: QueuedStream, own: QueuedStream, most_seconds: float) -> bool:
    return rank_of(common)[0] < rank_of(own)[0] - most_seconds


def _reason(stream: QueuedStream, own: deque[QueuedStream]) -> str:
    if stream.own_slot:
        return "the first in the slot's own queue"
    if own:
        return f"more urgent than {own[0].stream}, which is near, by more than that is worth"
    return "the most urgent of the common queue"
