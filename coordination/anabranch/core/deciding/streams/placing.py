"""Who gets a free slot, and which.

A load balancer that only ranks has said so when streams became ready: the head of the queue takes
the lowest slot, which costs nothing for all the others. One that places is shown the whole queue
and all free slots, once a turn. What it answers and does not fit is left out. It may leave slots
free, but nobody starves: who has waited for :data:`PATIENCE_SECONDS` beside a free slot is placed
by the engine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from zlib import crc32

from anabranch.core.deciding import resources
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.streams import fusing, queueing
from anabranch.core.deciding.streams.admitting import give, is_kept_waiting
from anabranch.core.deciding.streams.ranking import own_options, queued_view
from anabranch.core.effects import WakeAt
from anabranch.core.folds.copies import by_slot
from anabranch.core.ids import StreamId
from anabranch.core.model.at_work import elapsed_of
from anabranch.core.model.slots import Slot, free_slots
from anabranch.core.model.state import State, Stream
from anabranch.core.strategies import FreeSlot, LoadBalancer, Places, Placing, RunningStream
from anabranch.core.strategies.assigning import assigning
from anabranch.core.strategies.placing import placing
from anabranch.core.wording import length

PATIENCE_SECONDS = 30.0
"""So long a balancer may leave a slot free while somebody could start in it."""


def admit(draft: Draft) -> None:
    """Give free slots to streams that are ready."""
    state = draft.state
    if state.base is None or state.has_ended or state.stop_reason:
        return
    balancer = draft.strategies.balancer(state.plan.balancer)
    queueing.give_back(draft, balancer)
    if state.topology.services:
        _start_services(draft)
        state = draft.state
    if not state.ready or state.counts.active >= state.max_parallel:
        return
    if state.plan.fuses:
        _let_go_on(draft)
        state = draft.state
    free = state.max_parallel - state.counts.active
    if free <= 0 or not state.ready:
        return
    slots = islice(free_slots(state.slots, state.max_parallel), free)
    places = placing(balancer)
    if places is None:
        _to_the_head(draft, slots, f"the first that may start, by {state.plan.balancer}")
    else:
        _as_placed(draft, balancer, places, tuple(slots))


def _start_services(draft: Draft) -> None:
    """Start services that are ready to: they hold no slot, and nobody's place in the queue."""
    reserved = resources.reservations(draft.state, draft.now)
    for _, _, name in draft.state.ready:
        stream = draft.stream(name)
        if not draft.state.stream_plan(name).is_service or stream.not_before > draft.now:
            continue
        if not is_kept_waiting(draft, stream, reserved):
            give(draft, stream, Slot(0), "a service holds no slot")


def _let_go_on(draft: Draft) -> None:
    """Have short streams that are ready go on in the slot of the one before."""
    reserved = resources.reservations(draft.state, draft.now)
    for _, _, name in draft.state.ready:
        state, stream = draft.state, draft.stream(name)
        if state.stream_plan(name).is_service:
            continue
        if state.counts.active >= state.max_parallel:
            return
        slot = fusing.slot_to_go_on_in(state, stream)
        if slot is None or stream.not_before > draft.now:
            continue
        if not is_kept_waiting(draft, stream, reserved):
            takes = length(state.stream_plan(name).estimate_seconds, 1)
            own = state.fusion.own_seconds or 0.0
            reason = f"goes on after {slot.last}: it takes about {takes}, a workspace {own:.2f} s"
            give(draft, stream, slot, reason)


def _to_the_head(draft: Draft, slots: Iterator[Slot], reason: str) -> None:
    """Give slots to the head of the queue."""
    slot = next(slots)
    for stream in _that_may_start(draft):
        give(draft, stream, slot, reason)
        following = next(slots, None)
        if following is None:
            return
        slot = following


def _that_may_start(draft: Draft) -> Iterator[Stream]:
    """Yield the streams that may start now, in the order of the queue."""
    state = draft.state
    reserved = resources.reservations(state, draft.now)
    for _, _, name in state.ready:
        stream = state.streams[name]
        if state.stream_plan(name).is_service:
            continue
        if stream.not_before <= draft.now and not is_kept_waiting(draft, stream, reserved):
            yield stream


# --- balancers that place ------------------------------------------------------------------------


def _as_placed(
    draft: Draft, balancer: LoadBalancer, places: Places, slots: tuple[Slot, ...]
) -> None:
    """Give slots to whom a load balancer places in them."""
    may_start = {stream.id: stream for stream in _that_may_start(draft)}
    assigns = assigning(balancer)
    if not _has_news(draft, may_start, len(slots), knows_queues=assigns is not None):
        return
    if assigns is not None:
        draft.left_queues = (draft.state.slots, draft.state.queues)
        queueing.arrange(draft, balancer, assigns, may_start, slots)
    open_to = _open_to(draft.state, may_start, slots)
    view = placing_view(draft, balancer, open_to, slots)
    open_slots = {slot.number: slot for slot in slots}
    reserved = resources.reservations(draft.state, draft.now)
    for placement in places.place(view, draft.now):
        stream, slot = may_start.get(placement.stream), open_slots.get(placement.slot)
        if stream is None or slot is None or is_kept_waiting(draft, stream, reserved):
            continue
        if draft.state.queues.homes.get(stream.id, slot.number) != slot.number:
            continue
        give(draft, stream, slot, placement.reason)
        del may_start[stream.id], open_slots[slot.number]
    if may_start and open_slots:
        _place_the_overdue(draft, list(may_start.values()), list(open_slots.values()))
    left = draft.state.max_parallel - draft.state.counts.active
    draft.left_waiting = (frozenset(may_start), left)


def _has_news(
    draft: Draft, may_start: dict[StreamId, Stream], slots: int, *, knows_queues: bool
) -> bool:
    """Say whether there is anything to place that the balancer has not seen in this turn."""
    seen, free = draft.left_waiting
    if not may_start:
        return False
    slots_then, queues_then = draft.left_queues
    is_as_it_was = draft.state.slots is slots_then and draft.state.queues is queues_then
    if knows_queues and not is_as_it_was:
        return True
    return slots > free or not may_start.keys() <= seen


def _open_to(
    state: State, may_start: Mapping[StreamId, Stream], slots: Sequence[Slot]
) -> list[Stream]:
    """Return who may start in one of some slots: nobody who waits for another one."""
    numbers, homes = {slot.number for slot in slots}, state.queues.homes
    return [
        stream
        for name, stream in may_start.items()
        if (home := homes.get(name)) is None or home in numbers
    ]


def placing_view(
    draft: Draft, balancer: LoadBalancer, queue: Sequence[Stream], slots: Sequence[Slot]
) -> Placing:
    """Return what a load balancer sees that places."""
    state = draft.state
    options = own_options(balancer, state.plan)
    asked = dict.fromkeys(name for stream in queue for name in state.asks_of(stream.id))
    amounts = {name: resources.free(state, name) for name in asked}
    return Placing(
        queue=tuple(queued_view(state, s, s.attempt, s.since, options) for s in queue),
        slots=tuple(_free_slot(state, slot) for slot in slots),
        running=tuple(_running(state, draft.now)),
        free={name: amount for name, amount in amounts.items() if math.isfinite(amount)},
        max_parallel=state.max_parallel,
        seed=crc32(f"{state.run}/{state.seq}".encode()),
        options=options,
    )


def _free_slot(state: State, slot: Slot) -> FreeSlot:
    return FreeSlot(
        number=slot.number,
        leases=slot.incarnation,
        busy_seconds=slot.busy_seconds,
        since=slot.since,
        last=slot.last,
        last_capabilities=() if slot.last is None else state.stream_plan(slot.last).capabilities,
    )


def _running(state: State, now: float) -> Iterator[RunningStream]:
    for slot in state.slots.values():
        if slot.runs is None:
            continue
        elapsed = elapsed_of(by_slot(state, slot.runs, slot.number), now)
        rest = queueing.rest_of(state, slot, now)
        yield RunningStream(slot.runs, slot.number, elapsed, rest)


def _place_the_overdue(draft: Draft, waiting: list[Stream], slots: list[Slot]) -> None:
    """Place who has waited long enough beside a free slot; look again when the next one has."""
    reserved = resources.reservations(draft.state, draft.now)
    free_since = max(min(slot.since for slot in slots), draft.state.width.since)
    reason = f"nobody was placed in a free slot for {PATIENCE_SECONDS:g} s: by the engine"
    not_due: list[float] = []
    for stream in waiting:
        due = PATIENCE_SECONDS + max(resources.ready_since(stream), free_since)
        if due > draft.now:
            not_due.append(due)
        elif slots and not is_kept_waiting(draft, stream, reserved):
            give(draft, stream, slots.pop(0), reason)
    if slots and not_due:
        draft.wakes.append(WakeAt(at=min(not_due), subject="placing", cause=1, replaces=True))
