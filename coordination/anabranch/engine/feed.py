"""The newest state and the latest events, for whoever pulls them.

The engine publishes after each turn and never waits. A reader that comes too late for the events
that are still kept learns how many it missed; the state it gets is always the newest.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import islice

import msgspec

from anabranch.core.events import Event, Recorded, StreamEvent
from anabranch.core.ids import Seq, StreamId
from anabranch.core.model.state import State
from anabranch.engine.source import Frame

KEPT = 50_000
FRAME_LIMIT = 5_000
KEPT_BYTES = 32 * 1024 * 1024
_CHOSEN = ("before", "after", "body")
"""What streams choose of an event, and may choose to be large."""


class Feed:
    """A ring of events beside the newest state. Safe to use from any thread."""

    def __init__(self, state: State, history: Iterable[Recorded] = ()) -> None:
        self._lock = threading.Lock()
        self._state = state
        self._ring: deque[Recorded] = deque()
        self._weights: deque[int] = deque()
        self._weight = 0
        self._keep(history)

    @property
    def state(self) -> State:
        return self._state

    def publish(self, state: State, records: Sequence[Recorded]) -> None:
        """Replace the state and add the events that led to it."""
        with self._lock:
            self._state = state
            self._keep(records)

    def _keep(self, records: Iterable[Recorded]) -> None:
        for record in records:
            weight = _weight(record.event)
            self._ring.append(record)
            self._weights.append(weight)
            self._weight += weight
            while len(self._ring) > KEPT or (self._weight > KEPT_BYTES and len(self._ring) > 1):
                self._ring.popleft()
                self._weight -= self._weights.popleft()

    def take(self, cursor: Seq, dirty: Iterable[StreamId] = ()) -> Frame:
        """Return what came after event ``cursor``; ``dirty`` streams are added to the changed."""
        with self._lock:
            state = self._state
            first = self._ring[0].seq if self._ring else state.seq + 1
            start = max(cursor + 1, first, state.seq + 1 - FRAME_LIMIT)
            events = tuple(islice(self._ring, start - first, None))
        changed = {r.event.stream for r in events if isinstance(r.event, StreamEvent)}
        return Frame(
            cursor=state.seq,
            state=state,
            streams=frozenset(changed.union(dirty)),
            events=events,
            missed=max(0, start - cursor - 1),
        )


def _weight(event: Event) -> int:
    """Return about how many bytes of memory the values in an event take."""
    values = [getattr(event, name) for name in _chosen_of(type(event))]
    return sum(map(_size, values))


@cache
def _chosen_of(kind: type[Event]) -> tuple[str, ...]:
    return tuple(name for name in kind.__struct_fields__ if name in _CHOSEN)


def _size(value: object) -> int:
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, msgspec.Raw):
        return len(memoryview(value))
    return len(msgspec.json.encode(value)) if isinstance(value, dict | list) else 0
