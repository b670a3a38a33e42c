"""What events change about resources, and what they answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.calls import Answer
from anabranch.core.folds.answers import Answering, refused_wait
from anabranch.core.folds.parts import of_part
from anabranch.core.folds.waiting import with_wait
from anabranch.core.ids import Seq, StreamId
from anabranch.core.model.resources import (
    MEMORY,
    Excess,
    Held,
    ResourceTable,
    WaitingRequest,
    excess_key,
    plus,
)
from anabranch.core.model.state import State

AGEING_SECONDS = 30.0
"""A request that has waited this long weighs as much as one of one more in priority."""

MOST_PRIORITY = 10
"""What a plan's priority counts for here at most, so that ageing catches up within minutes."""


def _measured(
    table: ResourceTable, record: ev.Recorded, event: ev.MachineMeasured
) -> ResourceTable:
    return replace(table, machine=event.capacity)


def _load(table: ResourceTable, record: ev.Recorded, event: ev.MachineLoadChanged) -> ResourceTable:
    return replace(
        table,
        memory_available_mb=event.memory_available_mb,
        memory_pressure=event.memory_pressure,
        shortage=event.shortage,
        load=table.load + 1,
        fresh_memory_mb=0.0,
    )


def _disk(table: ResourceTable, record: ev.Recorded, event: ev.DiskUseChanged) -> ResourceTable:
    return replace(table, disk_bytes=event.used_bytes, disk_shortage=event.shortage)


def _granted(
    table: ResourceTable, record: ev.Recorded, event: ev.ResourcesGranted
) -> ResourceTable:
    before = table.held.get(event.stream)
    memory = event.amounts.get(MEMORY, 0.0)
    is_same_load = before is not None and before.load == table.load
    held = Held(
        event.attempt,
        plus(before.amounts if before else {}, event.amounts),
        memory + (before.fresh_memory_mb if before and is_same_load else 0.0),
        table.load,
    )
    return replace(
        table,
        used=plus(table.used, event.amounts),
        held=table.held.insert(event.stream, held),
        queue=_without(table.queue, event.ticket) if event.ticket else table.queue,
        fresh_memory_mb=table.fresh_memory_mb + memory,
    )


def _without(queue: tuple[WaitingRequest, ...], ticket: Seq) -> tuple[WaitingRequest, ...]:
    return tuple(w for w in queue if w.ticket != ticket)


def _queued(table: ResourceTable, record: ev.Recorded, event: ev.ResourcesQueued) -> ResourceTable:
    waiting = WaitingRequest(
        record.seq, event.stream, event.attempt, event.amounts, record.at, event.request
    )
    return replace(table, queue=(*table.queue, waiting))


def _released(
    table: ResourceTable, record: ev.Recorded, event: ev.ResourcesReleased
) -> ResourceTable:
    before = table.held.get(event.stream)
    if before is None:
        return table
    left = plus(before.amounts, event.amounts, -1)
    fresh = before.fresh_memory_mb if before.load == table.load else 0.0
    given_back = min(fresh, event.amounts.get(MEMORY, 0.0))
    after = replace(before, amounts=left, fresh_memory_mb=fresh - given_back, load=table.load)
    held = table.held.insert(event.stream, after) if left else table.held.remove(event.stream)
    return replace(
        table,
        used=plus(table.used, event.amounts, -1),
        held=held,
        fresh_memory_mb=max(0.0, table.fresh_memory_mb - given_back),
    )


def _withdrawn(
    table: ResourceTable, record: ev.Recorded, event: ev.ResourcesWithdrawn
) -> ResourceTable:
    return replace(table, queue=_without(table.queue, event.ticket))


def _exceeded(
    table: ResourceTable, record: ev.Recorded, event: ev.ResourcesExceeded
) -> ResourceTable:
    excess = Excess(event.attempt, event.response, record.at)
    key = excess_key(event.stream, event.resource)
    return replace(table, exceeded=table.exceeded.insert(key, excess))


def _within(table: ResourceTable, record: ev.Recorded, event: ev.ResourcesWithin) -> ResourceTable:
    return replace(table, exceeded=table.exceeded.discard(excess_key(event.stream, event.resource)))


_Over = ev.ResourcesGranted | ev.ResourcesWithdrawn


def _waited_for(
    fold: Callable[[State, ev.Recorded, Any], State],
) -> Callable[[State, ev.Recorded, Any], State]:
    """Return a fold that counts as well how long the request has waited, if it had to."""

    def folded(state: State, record: ev.Recorded, event: _Over) -> State:
        queue = state.resources.queue if event.ticket else ()
        since = next((w.since for w in queue if w.ticket == event.ticket), record.at)
        return with_wait(fold(state, record, event), event.stream, since, record.at)

    return folded


FOLDS: dict[type[ev.Event], Callable[[State, ev.Recorded, Any], State]] = {
    ev.MachineMeasured: of_part("resources", _measured),
    ev.MachineLoadChanged: of_part("resources", _load),
    ev.DiskUseChanged: of_part("resources", _disk),
    ev.ResourcesGranted: _waited_for(of_part("resources", _granted)),
    ev.ResourcesQueued: of_part("resources", _queued),
    ev.ResourcesReleased: of_part("resources", _released),
    ev.ResourcesWithdrawn: _waited_for(of_part("resources", _withdrawn)),
    ev.ResourcesExceeded: of_part("resources", _exceeded),
    ev.ResourcesWithin: of_part("resources", _within),
}


def by_age(state: State, now: float) -> list[WaitingRequest]:
    """Return the queue, best first: what a request lacks in priority it gains by waiting."""
    queue = state.resources.queue
    return sorted(queue, key=lambda w: (-_urgency(state, w, now), w.ticket))


def _urgency(state: State, waiting: WaitingRequest, now: float) -> float:
    plan = state.topology.streams.get(waiting.stream)
    priority = plan.priority if plan else 0
    head_start = max(-MOST_PRIORITY, min(priority, MOST_PRIORITY))
    return head_start + (now - waiting.since) / AGEING_SECONDS


def _granted_answer(state: State, record: ev.Recorded, event: ev.ResourcesGranted) -> Answer:
    held = state.resources.held_by(event.stream)
    return Answer("granted", {"granted": event.amounts, "holds": held})


def queued_answer(state: State, waiting: WaitingRequest, now: float) -> Answer:
    """Return what a stream is told whose request waits."""
    position = [w.ticket for w in by_age(state, now)].index(waiting.ticket) + 1
    asked = waiting.amounts
    holders = [s for s, h in state.resources.held.items() if asked.keys() & h.amounts.keys()]
    facts = {"ticket": str(waiting.ticket), "position": position, "holders": sorted(holders)}
    return Answer("queued", {**facts, "wanted": asked})


def _queued_answer(state: State, record: ev.Recorded, event: ev.ResourcesQueued) -> Answer:
    return queued_answer(state, state.resources.queue[-1], record.at)


def _withdrawn_answer(state: State, record: ev.Recorded, event: ev.ResourcesWithdrawn) -> Answer:
    if not event.reason:
        return _holds(state, event.stream)
    return refused_wait(event)


def _released_answer(state: State, record: ev.Recorded, event: ev.ResourcesReleased) -> Answer:
    return _holds(state, event.stream)


def _holds(state: State, stream: StreamId) -> Answer:
    return Answer("done", {"holds": state.resources.held_by(stream)})


ANSWERS: dict[type[ev.Event], Answering] = {
    ev.ResourcesGranted: _granted_answer,
    ev.ResourcesQueued: _queued_answer,
    ev.ResourcesReleased: _released_answer,
    ev.ResourcesWithdrawn: _withdrawn_answer,
}
