"""What events change about timed events that are held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.json_values import text_of
from anabranch.core.model.ordering import Held, Ordering, Stamp, split, with_held
from anabranch.core.model.state import State


def _held(state: State, record: ev.Recorded, event: ev.MessageHeld) -> State:
    ordering = state.orderings.get(event.window_us) or Ordering(event.window_us)
    held = Held(
        Stamp(event.physical_us, event.logical, event.stream),
        record.seq,
        event.attempt,
        text_of(event.body),
        event.deadline_seconds,
        event.is_late,
    )
    return _with_ordering(state, with_held(ordering, held))


def _closed(state: State, record: ev.Recorded, event: ev.WindowClosed) -> State:
    ordering = state.orderings.get(event.window_us)
    if ordering is None:
        return state
    _, rest = split(ordering, event.end_us)
    return _with_ordering(state, replace(ordering, held=rest, released_us=event.end_us))


def _with_ordering(state: State, ordering: Ordering) -> State:
    return replace(state, orderings=state.orderings.insert(ordering.size_us, ordering))


FOLDS: dict[type[ev.Event], Callable[[State, ev.Recorded, Any], State]] = {
    ev.MessageHeld: _held,
    ev.WindowClosed: _closed,
}
