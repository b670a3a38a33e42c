"""What events change about attempts that are at work beside a stream's own.

Such an attempt is kept as a stream of its own, and lives by the same table and folds. It is in no
point, nobody depends on it, and no account but that of slots knows it. Where it comes to count, the
two change places.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.folds import slots
from anabranch.core.folds.streams import moved
from anabranch.core.folds.widths import begun, measured
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.spent import Spent
from anabranch.core.model.state import Copy, State, StopRequest, Stream

FENCED = "fenced"
"""What an attempt that is fenced ends as."""

HARMLESS = (ev.StreamHeartbeat, ev.LeaseRenewed, ev.LeaseDoubted)
"""What comes of a call, and is noticed by nobody else."""


def is_of_copy(state: State, event: ev.StreamEvent) -> bool:
    """Return whether an event is about an attempt beside a stream's own."""
    copy = state.copies.get(event.stream)
    return copy is not None and getattr(event, "attempt", None) == copy.run.attempt


def evolved(state: State, record: ev.Recorded, event: ev.StreamEvent) -> State:
    """Return the state after an event about an attempt beside a stream's own."""
    copy = state.copies[event.stream]
    before = copy.run
    after = moved(before, record, event)
    if isinstance(event, ev.StreamStarted):
        after = begun(state, after, record.at)
    elif isinstance(event, ev.StreamExited):
        after = measured(state, after, record.at)
    elif isinstance(event, ev.AttemptFenced):
        stop = StopRequest(event.reason, FENCED)
        after = replace(after, stop=stop, reason=f"fenced: {event.reason}")
    copies = state.copies.insert(event.stream, replace(copy, run=after))
    return _moved(replace(state, copies=copies), after, before.is_active, record.at)


def acted(state: State, event: ev.Requested) -> State:
    """Return the state that knows who has asked for something by which others notice it."""
    if isinstance(event, HARMLESS) or event.stream not in state.topology.repeated:
        return state
    known = state.speculation
    known = replace(known, acted=known.acted.insert(event.stream, event.attempt))
    return replace(state, speculation=known)


def _copied(state: State, record: ev.Recorded, event: ev.StreamCopied) -> State:
    if event.stream in state.copies:
        return state
    stream, known = state.streams[event.stream], state.speculation
    slot = slots.slot_for(state.slots, event)
    run = Stream(
        stream.id,
        Phase.PREPARING,
        record.at,
        record.seq,
        "preparing its workspace",
        attempt=event.attempt,
        rank=stream.rank,
        is_retry=stream.is_retry,
        retries=stream.retries,
        inherits=stream.inherits,
        handed_back=stream.handed_back,
        slot=slot.number,
        incarnation=slot.incarnation + 1,
        placed_because=event.placed_because,
    )
    copy = Copy(run, event.of, record.at, event.elapsed_seconds, event.long_seconds, event.amounts)
    known = replace(
        known,
        copied=known.copied.insert(stream.id, event.attempt),
        copies=known.copies + 1,
    )
    state = replace(state, copies=state.copies.insert(stream.id, copy), speculation=known)
    return _moved(state, run, was_active=False, at=record.at)


def _granted(state: State, record: ev.Recorded, event: ev.CommitGranted) -> State:
    copy = state.copies.get(event.stream)
    if copy is None or copy.run.attempt != event.attempt:
        return state
    known = state.speculation
    known = replace(
        known, won=known.won + 1, seconds_saved=known.seconds_saved + event.saved_seconds
    )
    return replace(_places_changed(state, copy), speculation=known)


def _took_over(state: State, record: ev.Recorded, event: ev.CopyTookOver) -> State:
    copy = state.copies.get(event.stream)
    return state if copy is None else _places_changed(state, copy)


def _fenced(state: State, record: ev.Recorded, event: ev.AttemptFenced) -> State:
    copy = state.copies.get(event.stream)
    if copy is None or copy.run.attempt != event.attempt:
        return state
    known, is_new = state.speculation, copy.run.stop is None
    state = replace(state, speculation=replace(known, fenced=known.fenced + is_new))
    return evolved(state, record, event)


def _ended(state: State, record: ev.Recorded, event: ev.CopyEnded) -> State:
    copy = state.copies.get(event.stream)
    if copy is None or copy.run.attempt != event.attempt:
        return state
    run, known, stream = copy.run, state.speculation, state.streams[event.stream]
    aside = (*known.set_aside.get(stream.id, ()), run.attempt)
    known = replace(
        known,
        set_aside=known.set_aside.insert(stream.id, aside),
        seconds_spent=known.seconds_spent + run.spent.working,
    )
    kept = tuple(dict.fromkeys((*stream.partial, *run.partial)))
    state = replace(
        state,
        copies=state.copies.remove(stream.id),
        streams=state.streams.insert(stream.id, replace(stream, partial=kept)),
        speculation=known,
    )
    return _moved(state, replace(run, phase=Phase.STOPPED), run.is_active, record.at)


def _moved(state: State, run: Stream, was_active: bool, at: float) -> State:
    """Return the state in which a slot is leased or released, if that follows."""
    if run.is_active == was_active:
        return state
    active = state.counts.active + (run.is_active - was_active)
    return replace(
        state,
        counts=replace(state.counts, active=active),
        slots=slots.moved(state.slots, run, was_active, at),
    )


def _places_changed(state: State, copy: Copy) -> State:
    """Return the state in which the attempt beside is the stream's own, and its own is beside."""
    stream, run = state.streams[copy.run.id], copy.run
    own = replace(
        run,
        not_before=stream.not_before,
        last_started_at=stream.last_started_at,
        first_started_at=_first(stream.first_started_at, run.first_started_at),
        first_queued_at=stream.first_queued_at,
        rescue=stream.rescue,
        partial=tuple(dict.fromkeys((*stream.partial, *run.partial))),
        spent=_both(stream.spent, run.spent),
        care=stream.care,
        window=stream.window,
        memory=stream.memory,
    )
    beside = replace(stream, spent=Spent(), partial=(), rescue=())
    return replace(
        state,
        streams=state.streams.insert(stream.id, own),
        copies=state.copies.insert(stream.id, replace(copy, run=beside)),
    )


def _first(one: float | None, other: float | None) -> float | None:
    return other if one is None else one


def _both(one: Spent, other: Spent) -> Spent:
    return Spent(**{n: getattr(one, n) + getattr(other, n) for n in one.__struct_fields__})


FOLDS: dict[type[ev.StreamEvent], Callable[[State, ev.Recorded, Any], State]] = {
    ev.StreamCopied: _copied,
    ev.CommitGranted: _granted,
    ev.CopyTookOver: _took_over,
    ev.AttemptFenced: _fenced,
    ev.CopyEnded: _ended,
}
"""What events about both attempts of a stream change."""


def by_slot(state: State, name: StreamId, number: int) -> Stream:
    """Return who runs in a slot that is leased to a stream: it, or the attempt beside it."""
    copy = state.copies.get(name)
    return copy.run if copy and copy.run.slot == number else state.streams[name]
