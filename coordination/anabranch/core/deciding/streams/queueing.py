"""The queues that slots own: who is assigned to one, and when it is given back.

A load balancer that assigns is asked before anybody is placed, and only then: whenever a slot is
free and something is new. What it answers stands in events, so queues are the run's and not the
balancer's. A slot gives its queue back when it is beyond the width, or when what runs there takes
far longer than expected, or nobody knows how long. A balancer that knows no queues finds none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from zlib import crc32

from anabranch.core import events as ev
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.streams import stealing
from anabranch.core.deciding.streams.ranking import own_options, queued_view
from anabranch.core.effects import WakeAt
from anabranch.core.folds.copies import by_slot
from anabranch.core.ids import StreamId
from anabranch.core.model.at_work import elapsed_of
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.queues import Queue
from anabranch.core.model.slots import Slot, slot_of
from anabranch.core.model.state import State, Stream
from anabranch.core.plans.forecast import expected_rest
from anabranch.core.strategies import (
    Assigning,
    Assignment,
    Assigns,
    LoadBalancer,
    QueuedStream,
    SlotQueue,
    answers,
)
from anabranch.core.strategies.assigning import assigning

LATE_FACTOR = 3.0
"""A slot whose stream has run for so many times its estimate owns no queue: nobody waits for it.

Nor does one whose stream's estimate is a guess: nobody can say when it will be free.
"""


def give_back(draft: Draft, balancer: LoadBalancer) -> None:
    """Give back the queues of slots that may own none any more."""
    if not len(draft.state.queues.homes):
        return
    has_queues = assigning(balancer) is not None
    no_queues = f"{draft.state.plan.balancer} knows no queues of slots"
    for queue in list(draft.state.queues.of_slots.values()):
        if not queue.places:
            continue
        why = _why_none(draft.state, queue.slot, draft.now) if has_queues else no_queues
        if why:
            _give_back(draft, queue, why)


def _give_back(draft: Draft, queue: Queue, reason: str) -> None:
    streams = queue.streams
    with draft.because_of(stealing.cause_of(draft, [queued.stream for queued in streams])):
        draft.emit(
            ev.StreamsGivenBack(
                slot=queue.slot, version=queue.version + 1, queued=streams, reason=reason
            )
        )


def _why_none(state: State, slot: int, now: float) -> str:
    """Return why a slot may own no queue, empty if it may."""
    if slot > state.max_parallel:
        return f"slot {slot} is beyond the width"
    runs = slot_of(state.slots, slot).runs
    if runs is None or by_slot(state, runs, slot).phase is Phase.CAPTURING:
        return ""
    if state.stream_plan(runs).estimate_basis == "guessed":
        return f"nobody knows how long {runs} takes, which runs in slot {slot}"
    if _late_at(state, runs, slot) <= now:
        return f"{runs}, which runs in slot {slot}, takes far longer than expected"
    return ""


def _late_at(state: State, runs: StreamId, slot: int) -> float:
    """Return from when on who runs in a slot is far beyond its estimate (run seconds)."""
    stream, plan = by_slot(state, runs, slot), state.stream_plan(runs)
    if stream.started_at is None:
        return math.inf
    usual = max(LATE_FACTOR * plan.estimate_seconds, plan.long_seconds or 0.0)
    return stream.started_at + stream.worked.waited + usual


def arrange(
    draft: Draft,
    balancer: LoadBalancer,
    assigns: Assigns,
    may_start: Mapping[StreamId, Stream],
    free: Sequence[Slot],
) -> None:
    """Have streams assigned to queues, and ask for what is to be stolen."""
    view = assigning_view(draft, balancer, may_start, free)
    try:
        found = answers.assignments(assigns.assign(view, draft.now), view)
    except answers.WrongAnswer:
        return  # of a plugin this is noted before it comes here
    assigned = [one for one in found if isinstance(one, Assignment)]
    for (slot, reason), group in groupby(
        sorted(assigned, key=lambda one: (one.slot, one.reason)),
        key=lambda one: (one.slot, one.reason),
    ):
        _assign(draft, slot, [one.stream for one in group], reason)
    for one in found:
        if not isinstance(one, Assignment):
            stealing.ask(draft, one)
    _look_again_when_late(draft)


def _assign(draft: Draft, slot: int, streams: list[StreamId], reason: str) -> None:
    version = draft.state.queues.of(slot).version + 1
    waiting = stealing.as_queued(draft.state, streams)
    with draft.because_of(stealing.cause_of(draft, streams)):
        draft.emit(ev.StreamsAssigned(slot=slot, version=version, queued=waiting, reason=reason))


def _look_again_when_late(draft: Draft) -> None:
    """Have a look when the next slot will have to give its queue back."""
    state = draft.state
    owners = [slot_of(state.slots, slot) for slot in set(state.queues.homes.values())]
    late = [_late_at(state, owner.runs, owner.number) for owner in owners if owner.runs is not None]
    late_at = min(late, default=math.inf)
    if math.isfinite(late_at):
        draft.wakes.append(WakeAt(at=late_at, subject="queues", cause=1, replaces=True))


# --- what a balancer is shown --------------------------------------------------------------------


def assigning_view(
    draft: Draft,
    balancer: LoadBalancer,
    may_start: Mapping[StreamId, Stream],
    free: Sequence[Slot],
) -> Assigning:
    """Return what a load balancer sees that has slots own queues."""
    state = draft.state
    options = own_options(balancer, state.plan)
    waiting: dict[int, list[QueuedStream]] = {}
    for stream in may_start.values():
        view = queued_view(state, stream, stream.attempt, stream.since, options)
        waiting.setdefault(view.own_slot, []).append(view)
    open_slots = {slot.number for slot in free}
    asked = [steal for steal in state.queues.steals.values() if not steal.is_released]
    under_way = {party for steal in asked for party in (steal.thief, steal.victim)}
    return Assigning(
        queue=tuple(waiting.get(0, ())),
        slots=tuple(
            _slot_queue(
                state,
                slot_of(state.slots, number),
                draft.now,
                is_free=number in open_slots,
                is_under_way=number in under_way,
                streams=tuple(waiting.get(number, ())),
            )
            for number in _owners(state, draft.now)
        ),
        max_parallel=state.max_parallel,
        seed=crc32(f"{state.run}/{state.seq}".encode()),
        options=options,
    )


def _owners(state: State, now: float) -> Iterator[int]:
    """Yield the slots that may own a queue."""
    for number in range(1, state.max_parallel + 1):
        if not _why_none(state, number, now):
            yield number


def _slot_queue(
    state: State,
    slot: Slot,
    now: float,
    *,
    is_free: bool,
    is_under_way: bool,
    streams: tuple[QueuedStream, ...],
) -> SlotQueue:
    last = slot.last if slot.runs is None else slot.runs
    return SlotQueue(
        slot=slot.number,
        is_free=is_free,
        rest_seconds=rest_of(state, slot, now),
        last=last,
        last_capabilities=() if last is None else state.stream_plan(last).capabilities,
        streams=streams,
        is_under_way=is_under_way,
    )


def rest_of(state: State, slot: Slot, now: float) -> float:
    """Return for how many seconds who runs in a slot is expected to go on."""
    if slot.runs is None:
        return 0.0
    stream, plan = by_slot(state, slot.runs, slot.number), state.stream_plan(slot.runs)
    if stream.phase is Phase.CAPTURING:
        return 0.0
    return expected_rest(plan.estimate_seconds, elapsed_of(stream, now))
