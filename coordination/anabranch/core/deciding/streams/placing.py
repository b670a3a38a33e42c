"""Who gets a free slot, and which.

A load balancer that only ranks has said so when streams became ready: the head of the queue takes
the lowest slot, which costs nothing for all the others. One that places is shown the whole queue
and all free slots, once a turn. What it answers and does not fit is left out. It may leave slots
free, but nobody starves: who has waited for :data:`PATIENCE_SECONDS` beside a free slot is placed
by the engine.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import islice
from zlib import crc32

from anabranch.core.deciding import resources
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.streams.admitting import give, is_kept_waiting
from anabranch.core.deciding.streams.ranking import own_options, queued_view, ready_since
from anabranch.core.effects import WakeAt
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.slots import Slot, free_slots
from anabranch.core.model.state import State, Stream
from anabranch.core.plans.forecast import expected_rest
from anabranch.core.strategies import FreeSlot, LoadBalancer, Places, Placing, RunningStream
from anabranch.core.strategies.placing import placing

PATIENCE_SECONDS = 30.0
"""So long a balancer may leave a slot free while somebody could start in it."""


def admit(draft: Draft) -> None:
    """Give free slots to streams that are ready."""
    state = draft.state
    if state.base is None or state.has_ended or state.stop_reason:
        return
    free = state.max_parallel - state.counts.active
    if free <= 0 or not state.ready:
        return
    slots = islice(free_slots(state.slots, state.max_parallel), free)
    balancer = draft.strategies.balancer(state.plan.balancer)
    places = placing(balancer)
    if places is None:
        _to_the_head(draft, slots, f"the first that may start, by {state.plan.balancer}")
    else:
        _as_placed(draft, balancer, places, tuple(slots))


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
        if stream.not_before <= draft.now and not is_kept_waiting(draft, stream, reserved):
            yield stream


# --- balancers that place ------------------------------------------------------------------------


def _as_placed(
    draft: Draft, balancer: LoadBalancer, places: Places, slots: tuple[Slot, ...]
) -> None:
    """Give slots to whom a load balancer places in them."""
    may_start = {stream.id: stream for stream in _that_may_start(draft)}
    if not _has_news(draft, may_start, len(slots)):
        return
    view = placing_view(draft, balancer, tuple(may_start.values()), slots)
    open_slots = {slot.number: slot for slot in slots}
    reserved = resources.reservations(draft.state, draft.now)
    for placement in places.place(view, draft.now):
        stream, slot = may_start.get(placement.stream), open_slots.get(placement.slot)
        if stream is None or slot is None or is_kept_waiting(draft, stream, reserved):
            continue
        give(draft, stream, slot, placement.reason)
        del may_start[stream.id], open_slots[slot.number]
    if may_start and open_slots:
        _place_the_overdue(draft, list(may_start.values()), list(open_slots.values()))
    left = draft.state.max_parallel - draft.state.counts.active
    draft.left_waiting = (frozenset(may_start), left)


def _has_news(draft: Draft, may_start: dict[StreamId, Stream], slots: int) -> bool:
    """Say whether there is anything to place that the balancer has not seen in this turn."""
    seen, free = draft.left_waiting
    return bool(may_start) and (slots > free or not may_start.keys() <= seen)


def placing_view(
    draft: Draft, balancer: LoadBalancer, queue: Sequence[Stream], slots: Sequence[Slot]
) -> Placing:
    """Return what a load balancer sees that places."""
    state = draft.state
    options = own_options(balancer, state.plan)
    amounts = {name: resources.free(state, name) for name in state.topology.largest_use}
    return Placing(
        queue=tuple(
            queued_view(state, s, s.attempt, ready_since(s, s.since), options) for s in queue
        ),
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
        stream, plan = state.streams[slot.runs], state.stream_plan(slot.runs)
        began = stream.started_at
        elapsed = 0.0 if began is None else max(0.0, now - began - stream.worked.waited)
        is_over = stream.phase is Phase.CAPTURING
        rest = 0.0 if is_over else expected_rest(plan.estimate_seconds, elapsed)
        yield RunningStream(stream.id, slot.number, elapsed, rest)


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
