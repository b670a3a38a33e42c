"""Watches the queues of slots from outside: who is where, by the events alone.

Its books are kept in another way than the state's: a stream has one place, and every event that
moves it says from where to where. So what is lost, doubled or started twice shows up here, also if
the state's own indexes agree with each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from anabranch.core import events as ev
from anabranch.core.ids import Attempt, Seq, StreamId

COMMON = 0
"""The place of who waits for no slot of his own."""

_LEFT = (ev.StreamAdmitted, ev.StreamSkipped, ev.StreamStopped)


class QueueWatch:
    """The place of each stream that waits, told event by event."""

    def __init__(self) -> None:
        self.places: dict[StreamId, int] = {}
        self._attempts: dict[StreamId, Attempt] = {}
        self._leases: Counter[int] = Counter()
        self._started: set[tuple[StreamId, Attempt]] = set()
        self._asked: dict[Seq, tuple[ev.StealAsked, tuple[StreamId, ...]]] = {}

    def see(self, record: ev.Recorded) -> Iterator[str]:
        """Yield what is wrong about an event."""
        event = record.event
        if isinstance(event, ev.StreamQueued):
            self.places[event.stream] = COMMON
            self._attempts[event.stream] = event.attempt
        elif isinstance(event, ev.StreamsAssigned):
            yield from self._move(event.queued, COMMON, event.slot)
        elif isinstance(event, ev.StreamsGivenBack):
            yield from self._move(event.queued, event.slot, COMMON)
        elif isinstance(event, ev.StealAsked):
            self._asked[record.seq] = (event, self._waiting(event.victim))
        elif isinstance(event, ev.StealRefused):
            yield from self._answered(event.steal)
        elif isinstance(event, ev.StreamsStolen):
            yield from self._stolen(event)
        elif isinstance(event, ev.StreamCopied):
            self._leases[event.slot] += 1
        elif isinstance(event, _LEFT):
            yield from self._leave(event)

    def _waiting(self, slot: int) -> tuple[StreamId, ...]:
        return tuple(sorted(name for name, place in self.places.items() if place == slot))

    def _move(
        self, streams: tuple[ev.QueuedAttempt, ...], before: int, after: int
    ) -> Iterator[str]:
        for queued in streams:
            where = self.places.get(queued.stream)
            if where != before or self._attempts[queued.stream] != queued.attempt:
                yield f"{queued} moves from slot {before} to {after}, and waits in {where}"
            self.places[queued.stream] = after

    def _answered(self, steal: Seq) -> Iterator[str]:
        if self._asked.pop(steal, None) is None:
            yield f"steal {steal} is answered, and nobody has asked, or twice"

    def _stolen(self, event: ev.StreamsStolen) -> Iterator[str]:
        asked, waiting = self._asked[event.steal]
        yield from self._answered(event.steal)
        if (asked.thief, asked.victim) != (event.thief, event.victim):
            yield f"{event} answers {asked}"
        if self._leases[event.thief] != asked.incarnation:
            yield f"slot {event.thief} was leased since it asked, and steals all the same"
        if self._waiting(event.victim) != waiting:
            yield f"the queue of slot {event.victim} has changed, and is stolen from all the same"
        yield from self._move(event.queued, event.victim, event.thief)

    def _leave(
        self, event: ev.StreamAdmitted | ev.StreamSkipped | ev.StreamStopped
    ) -> Iterator[str]:
        was_waiting = self.places.pop(event.stream, None)
        if not isinstance(event, ev.StreamAdmitted):
            return
        self._leases[event.slot] += 1
        attempt = (event.stream, event.attempt)
        if was_waiting is None or attempt in self._started:
            yield f"{event.stream} is started, and does not wait, or has started"
        self._started.add(attempt)
