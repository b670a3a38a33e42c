"""What assigning, stealing and giving back change about queues, and what a stream's own way does.

A stream is in one queue at the most, and leaves it with its phase: whoever is admitted, stopped or
skipped is in none any more, whatever has led to it. Within a queue the order is that of all who are
ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.queues import Place, Queue, Queues, StealUnderWay
from anabranch.core.model.state import State, Stream

NOT_STARTED = frozenset({Phase.QUEUED, Phase.PREPARING, Phase.STARTING, Phase.SETTING_UP})
"""Phases in which a stream that was stolen has not started yet."""


def _assigned(state: State, record: ev.Recorded, event: ev.StreamsAssigned) -> State:
    return replace(state, queues=_with(state, state.queues, event.slot, event.queued, event.reason))


def _given_back(state: State, record: ev.Recorded, event: ev.StreamsGivenBack) -> State:
    names = {queued.stream for queued in event.queued}
    queues = _settled(_without(state.queues, event.slot, names), names)
    tally = replace(queues.tally, given_back=queues.tally.given_back + len(names))
    return replace(state, queues=replace(queues, tally=tally))


def _asked(state: State, record: ev.Recorded, event: ev.StealAsked) -> State:
    queues = state.queues
    steal = StealUnderWay(
        record.seq,
        event.thief,
        event.incarnation,
        event.victim,
        event.version,
        event.queued,
        record.at,
    )
    tally = replace(queues.tally, asked=queues.tally.asked + 1)
    steals = queues.steals.insert(record.seq, steal)
    return replace(state, queues=replace(queues, steals=steals, tally=tally))


def _stolen(state: State, record: ev.Recorded, event: ev.StreamsStolen) -> State:
    """Move streams from one queue to another; the steal is known until they have started."""
    names = {queued.stream for queued in event.queued}
    queues = _settled(_without(state.queues, event.victim, names), names)
    queues = _with(state, queues, event.thief, event.queued, f"stolen from slot {event.victim}")
    steals, moving = queues.steals, queues.moving
    steal = steals.get(event.steal)
    if steal is not None:
        steals = steals.insert(event.steal, replace(steal, streams=event.queued, is_released=True))
        for name in names:
            moving = moving.insert(name, event.steal)
    tally = replace(
        queues.tally,
        stolen=queues.tally.stolen + 1,
        streams=queues.tally.streams + len(names),
    )
    return replace(state, queues=replace(queues, steals=steals, moving=moving, tally=tally))


def _refused(state: State, record: ev.Recorded, event: ev.StealRefused) -> State:
    queues = state.queues
    tally = replace(queues.tally, refused=queues.tally.refused + 1)
    steals = queues.steals.discard(event.steal)
    return replace(state, queues=replace(queues, steals=steals, tally=tally))


FOLDS: Mapping[type[ev.Event], Callable[[State, ev.Recorded, Any], State]] = {
    ev.StreamsAssigned: _assigned,
    ev.StreamsGivenBack: _given_back,
    ev.StealAsked: _asked,
    ev.StreamsStolen: _stolen,
    ev.StealRefused: _refused,
}


def moved(queues: Queues, stream: Stream) -> Queues:
    """Return the queues after a stream's phase has changed."""
    home = queues.homes.get(stream.id)
    if home is not None and stream.phase is not Phase.QUEUED:
        queues = _without(queues, home, {stream.id})
    number = queues.moving.get(stream.id)
    if number is None:
        return queues
    is_with_thief = stream.phase is Phase.QUEUED or stream.slot == queues.steals[number].thief
    if stream.phase in NOT_STARTED and is_with_thief:
        return queues
    return _settled(queues, {stream.id})


def in_new_order(state: State) -> Queues:
    """Return the queues after all that are ready have been ranked anew."""
    queues = state.queues
    for queue in queues.of_slots.values():
        places = _in_order(state, queue.places)
        if places != queue.places:
            changed = Queue(queue.slot, queue.version + 1, places)
            queues = replace(queues, of_slots=queues.of_slots.insert(queue.slot, changed))
    return queues


def _with(
    state: State, queues: Queues, slot: int, streams: Iterable[ev.QueuedAttempt], reason: str
) -> Queues:
    """Return the queues with streams in that of a slot, those that wait in none yet."""
    queue, homes = queues.of(slot), queues.homes
    new = [q for q in streams if q.stream in state.streams and homes.get(q.stream) is None]
    for queued in new:
        homes = homes.insert(queued.stream, slot)
    places = (*queue.places, *(Place(q.stream, q.attempt, reason) for q in new))
    changed = Queue(slot, queue.version + 1, _in_order(state, places))
    return replace(queues, of_slots=queues.of_slots.insert(slot, changed), homes=homes)


def _without(queues: Queues, slot: int, names: set[StreamId]) -> Queues:
    queue, homes = queues.of(slot), queues.homes
    left = tuple(place for place in queue.places if place.stream not in names)
    for name in names:
        if homes.get(name) == slot:
            homes = homes.remove(name)
    changed = Queue(slot, queue.version + 1, left)
    return replace(queues, of_slots=queues.of_slots.insert(slot, changed), homes=homes)


def _settled(queues: Queues, names: set[StreamId]) -> Queues:
    """Return the queues without what was known of the way of streams that were stolen."""
    steals, moving = queues.steals, queues.moving
    for name in names:
        number = moving.get(name)
        if number is None:
            continue
        moving = moving.remove(name)
        steal: StealUnderWay = steals[number]
        left = tuple(queued for queued in steal.streams if queued.stream != name)
        kept = replace(steal, streams=left)
        steals = steals.insert(number, kept) if left else steals.remove(number)
    return replace(queues, steals=steals, moving=moving)


def _in_order(state: State, places: Iterable[Place]) -> tuple[Place, ...]:
    position = state.topology.position
    return tuple(sorted(places, key=lambda p: (state.streams[p.stream].rank, position[p.stream])))
