"""Whether a run's timeline is in order: no effect before its cause, and no time that runs back.

Events stand in the journal in the order in which they were decided. What they tell has happened
before, in the world, and is told late; so the two orders are checked against each other, in one
pass that keeps next to nothing.
"""

from __future__ import annotations

from typing import Any

from anabranch.core import events as ev
from anabranch.core.ids import Attempt, Seq, StreamId

GRAIN_SECONDS = 0.05
"""Clocks read one after the other may differ by so much."""
MOST_NAMED = 20


class OrderCheck:
    """Looks at the events of a run one after the other."""

    def __init__(self) -> None:
        self._events = 0
        self._faults = 0
        self._named: list[str] = []
        self._last: tuple[Seq, float] = (0, 0.0)
        self._not_before: dict[StreamId, float] = {}
        self._since: dict[tuple[StreamId, Attempt], float] = {}
        self._windows = self._late = 0
        self._closed: dict[int, int] = {}
        self._sent: tuple[int, int, StreamId] | None = None

    def take(self, record: ev.Recorded) -> None:
        """Look at the next event."""
        self._events += 1
        seq, at = self._last
        if record.cause is not None and record.cause >= record.seq:
            self._note(record, f"was caused by event {record.cause}, which came later")
        if record.seq <= seq:
            self._note(record, f"comes after event {seq}")
        if record.at < at - GRAIN_SECONDS:
            self._note(record, f"was decided {at - record.at:.3f} s before event {seq}")
        self._last = (record.seq, max(at, record.at))
        if isinstance(record.event, ev.StreamEvent):
            self._take_of_stream(record, record.event)
        else:
            self._take_of_window(record, record.event)

    def _take_of_stream(self, record: ev.Recorded, event: ev.StreamEvent) -> None:
        stream = event.stream
        match event:
            case ev.StreamQueued():
                self._not_before[stream] = event.not_before
            case ev.StreamAdmitted():
                due = self._not_before.get(stream, 0.0)
                if record.at < due - GRAIN_SECONDS:
                    self._note(record, f"{stream} was let in {due - record.at:.3f} s too early")
                self._since[stream, event.attempt] = record.at
            case ev.StreamCopied():
                self._since[stream, event.attempt] = record.at
            case ev.SetupStarted() | ev.SetupFinished() | ev.StreamStarted() | ev.StreamExited():
                if event.happened_at > record.at + GRAIN_SECONDS:
                    ahead = event.happened_at - record.at
                    self._note(record, f"tells of {stream} what happens {ahead:.3f} s later")
                since = self._since.get((stream, event.attempt), 0.0)
                if event.happened_at < since - GRAIN_SECONDS:
                    back = since - event.happened_at
                    self._note(record, f"{stream} goes back by {back:.3f} s")
                self._since[stream, event.attempt] = max(since, event.happened_at)

    def _take_of_window(self, record: ev.Recorded, event: ev.Event) -> None:
        match event:
            case ev.WindowClosed(window_us=size, end_us=end):
                self._windows += 1
                self._late += event.late
                self._sent = None
                if end <= self._closed.get(size, 0):
                    self._note(record, "closes a window that was closed before")
                self._closed[size] = end
            case ev.MessageSent(stamp_us=int(at)):
                stamp = (at, event.logical, event.stream)
                if self._sent is not None and stamp < self._sent:
                    self._note(record, "was sent after what was stamped later")
                self._sent = stamp

    def _note(self, record: ev.Recorded, what: str) -> None:
        self._faults += 1
        if len(self._named) < MOST_NAMED:
            self._named.append(f"event {record.seq} {what}")

    def found(self) -> dict[str, Any]:
        """Return what the report tells."""
        return {
            "events": self._events,
            "windows": self._windows,
            "late": self._late,
            "out_of_order": self._faults,
            "check": "; ".join(self._named[:3]) or "ok",
            "faults": list(self._named),
        }
