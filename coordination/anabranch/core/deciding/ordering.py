"""Decisions about timed events: taken in, held, and sent on window by window.

A broadcast with a window is not sent at once. It is held until its window is released, and all
of that window are sent together, in the order of their stamps
(:mod:`anabranch.core.model.ordering`). A length of window is a topic of its own.
"""

from __future__ import annotations

from collections.abc import Set

from anabranch.core import events as ev
from anabranch.core.calls import Broadcast
from anabranch.core.deciding.draft import Draft
from anabranch.core.ids import StreamId
from anabranch.core.json_values import value_of
from anabranch.core.model.answers import refused
from anabranch.core.model.ordering import US, Ordering, is_late, releasable_us, split, stamped
from anabranch.core.model.state import State

MOST_HELD = 1000
MOST_SIZES = 16
"""So many lengths of windows may be in use in a run."""


def hold(draft: Draft, call: Broadcast, body: str) -> None:
    """Take a timed event in."""
    assert call.window_seconds is not None
    size_us = round(call.window_seconds * US)
    orderings = draft.state.orderings
    known = orderings.get(size_us)
    if known is None and len(orderings) >= MOST_SIZES:
        sizes = ", ".join(f"{size / US:g}" for size in sorted(orderings))
        draft.answer = refused(f"windows of {MOST_SIZES} lengths are in use", f"use one: {sizes}")
        return
    ordering = known or Ordering(size_us)
    if len(ordering.held) >= MOST_HELD:
        draft.answer = refused(
            f"{MOST_HELD} timed events are held already", "wait until their window is released"
        )
        return
    given_us = None if call.stamp is None else round(call.stamp * US)
    stamp = stamped(ordering, call.caller.stream, given_us, wall_us(draft.state, draft.now))
    caller = call.caller
    draft.emit(
        ev.MessageHeld(
            caller.stream,
            caller.attempt,
            call.request,
            window_us=size_us,
            physical_us=stamp.physical_us,
            logical=stamp.logical,
            body=value_of(body),
            deadline_seconds=call.deadline_seconds,
            is_late=is_late(ordering, stamp),
        )
    )


def release_due(draft: Draft) -> None:
    """Send on what everybody is past."""
    orderings = draft.state.orderings
    holding = [size_us for size_us in sorted(orderings) if orderings[size_us].held]
    if not holding:
        return
    live = _live(draft.state)
    for size_us in holding:
        _release(draft, orderings[size_us], live)


def _release(draft: Draft, ordering: Ordering, live: Set[StreamId]) -> None:
    end_us = releasable_us(ordering, live, wall_us(draft.state, draft.now))
    due, _ = split(ordering, end_us)
    if not due or end_us <= ordering.released_us:
        return
    late = sum(held.is_late for held in due)
    closed = ev.WindowClosed(
        window_us=ordering.size_us, end_us=end_us, released=len(due), late=late
    )
    with draft.because_of(draft.emit(closed)):
        for held in due:
            source, seconds = held.stamp.source, held.deadline_seconds
            draft.emit(
                ev.MessageSent(
                    source,
                    held.attempt,
                    "",
                    to=None,
                    body=value_of(held.body),
                    recipients=len(live - {source}),
                    deadline=None if seconds is None else draft.now + seconds,
                    stamp_us=held.stamp.physical_us,
                    logical=held.stamp.logical,
                    is_late=held.is_late,
                )
            )


def _live(state: State) -> frozenset[StreamId]:
    """Return who may still tell something, and gets what is told."""
    streams = (s.id for s in state.streams.values() if not s.has_ended)
    return frozenset((*streams, *(j.id for j in state.registry.joined.values() if j.is_live)))


def wall_us(state: State, now: float) -> int:
    """Return a moment of the run clock as time on the wall, in microseconds since 1970."""
    return round((state.started_wall + now) * US)
