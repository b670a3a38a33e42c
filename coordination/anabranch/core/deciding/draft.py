"""A decision in the making: events so far, and the state as they leave it.

A draft lives for one call of ``decide`` and nobody outside ever sees one; it is how pure functions
build on each other's events without folding twice.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import cast

from anabranch.core import events as ev
from anabranch.core.calls import Answer
from anabranch.core.effects import WakeAt
from anabranch.core.folds.evolve import evolve, first_state
from anabranch.core.ids import PointId, Seq, StreamId
from anabranch.core.model.state import Point, State, Stream
from anabranch.core.strategies import Strategies


class Draft:
    """Collects events; ``touched_streams`` and ``touched_points`` say whom they were about.

    ``answer`` is what a call is answered, once its handler (or the event it emitted) says so.
    ``wakes`` are later times to look at what is overdue already, so that no event has to say so.
    ``left_waiting`` is whom a load balancer has left waiting in this turn, beside how many slots,
    and ``left_queues`` the slots and queues that one was shown that assigns.
    ``state`` is there from a run's first event on.
    """

    def __init__(
        self, state: State | None, now: float, strategies: Strategies, cause: Seq | None
    ) -> None:
        self.state = cast(State, state)
        self.now = now
        self.strategies = strategies
        self.cause = cause
        self.events: list[ev.Recorded] = []
        self.answer: Answer | None = None
        self.wakes: list[WakeAt] = []
        self.left_waiting: tuple[frozenset[StreamId], int] = (frozenset(), 0)
        self.left_queues: tuple[object, object] = (None, None)
        self.touched_streams: dict[StreamId, None] = {}
        self.touched_points: dict[PointId, None] = {}

    def stream(self, stream: StreamId) -> Stream:
        return self.state.streams[stream]

    def point(self, point: PointId) -> Point:
        return self.state.points[point]

    def emit(self, event: ev.Event) -> Seq:
        """Add an event, fold it, and return its number."""
        before: State | None = self.state
        seq = before.seq + 1 if before else 1
        record = ev.Recorded(seq, self.now, self.cause, event)
        self.state = evolve(before, record) if before else first_state(record)
        self.events.append(record)
        if isinstance(event, ev.StreamEvent | ev.CallEvent):
            self.touched_streams[event.stream] = None
        elif isinstance(event, ev.PointEvent):
            self.touched_points[event.point] = None
        elif isinstance(event, ev.RunResumed | ev.StrategyChosen):
            # The guardian's questions begin again; another point lets others straggle.
            self.touched_streams.update(dict.fromkeys(self.state.topology.streams))
        return seq

    def because_of_last_event(self) -> AbstractContextManager[None]:
        """Let what is emitted inside follow from the latest event of this decision, if any."""
        return self.because_of(self.events[-1].seq) if self.events else nullcontext()

    def because_of(self, seq: Seq) -> AbstractContextManager[None]:
        """Let events emitted inside be caused by event ``seq``."""
        return _BecauseOf(self, seq)


class _BecauseOf:
    """A class, because every decision enters some, and a generator costs four times as much."""

    __slots__ = ("_before", "_draft", "_seq")

    def __init__(self, draft: Draft, seq: Seq) -> None:
        self._draft, self._seq = draft, seq

    def __enter__(self) -> None:
        self._before, self._draft.cause = self._draft.cause, self._seq

    def __exit__(self, *error: object) -> None:
        self._draft.cause = self._before
