"""What must hold of the queues of slots: each stream waits in one at the most, and none is lost."""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core.folds.queues import NOT_STARTED
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.queues import Queue, StealUnderWay
from anabranch.core.model.state import State


def broken_queues(state: State) -> Iterator[str]:
    """Yield what does not fit of queues, of the streams in them, and of what is being stolen."""
    queues = state.queues
    found = {q.stream: queue.slot for queue in queues.of_slots.values() for q in queue.streams}
    count = sum(len(queue.streams) for queue in queues.of_slots.values())
    if count != len(found) or found != dict(queues.homes.items()):
        yield f"{count} streams wait in queues of slots, and {dict(queues.homes.items())} is listed"
    for number, queue in queues.of_slots.items():
        if queue.slot != number:
            yield f"the queue of slot {queue.slot} is kept as that of {number}"
        yield from _queue(state, queue)
    released = [steal for steal in queues.steals.values() if steal.is_released]
    moving = {queued.stream: steal.number for steal in released for queued in steal.streams}
    if moving != dict(queues.moving.items()):
        yield f"{moving} are being stolen, and {dict(queues.moving.items())} is listed"
    for steal in queues.steals.values():
        yield from _steal(state, steal)


def _queue(state: State, queue: Queue) -> Iterator[str]:
    order = {name: place for place, (_, _, name) in enumerate(state.ready)}
    for queued in queue.streams:
        stream = state.streams[queued.stream]
        if stream.phase is not Phase.QUEUED or stream.attempt != queued.attempt:
            yield f"{queued} waits for slot {queue.slot}, and is {stream.phase} in {stream.attempt}"
    places = [order.get(queued.stream, -1) for queued in queue.streams]
    if places != sorted(places):
        yield f"the queue of slot {queue.slot} is out of order"


def _steal(state: State, steal: StealUnderWay) -> Iterator[str]:
    if steal.thief == steal.victim or not steal.streams:
        yield f"steal {steal.number} moves nothing, or to where it is"
    for queued in steal.streams if steal.is_released else ():
        stream, home = state.streams[queued.stream], state.queues.homes.get(queued.stream)
        where = home if stream.phase is Phase.QUEUED else stream.slot
        if stream.phase not in NOT_STARTED or where != steal.thief:
            yield f"{queued.stream} was stolen by slot {steal.thief}, and is elsewhere"
