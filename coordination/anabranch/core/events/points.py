"""Events of convergence points."""

from __future__ import annotations

from typing import Any

from anabranch.core.events.base import CallEvent, Conflict, Edge, PointEvent
from anabranch.core.ids import Attempt, PointId, Seq, StreamId


class ConvergenceArrived(PointEvent, frozen=True, kw_only=True):
    """A participant is there: with its result at its end, or by a call with a value for a round.

    ``round`` is 0 at a stream's end; from 1 on it is the round of the point that a call joined.
    ``waits`` says whether the caller goes on only when the others have come.
    """

    stream: StreamId
    attempt: Attempt = 0
    request: str = ""
    round: int = 0
    value: Any = None
    waits: bool = False

    @property
    def caller(self) -> tuple[StreamId, Attempt]:
        return self.stream, self.attempt


class ConvergenceWithdrawn(PointEvent, frozen=True, kw_only=True):
    """A value does not count: its attempt ended badly, or its wait was part of a ``cycle``."""

    stream: StreamId
    reason: str
    attempt: Attempt = 0
    request: str = ""
    hint: str = ""
    cycle: tuple[Edge, ...] = ()

    @property
    def caller(self) -> tuple[StreamId, Attempt]:
        return self.stream, self.attempt


class ArrivalWaitEnded(PointEvent, frozen=True, kw_only=True):
    """Who arrived waits no longer, but what it brought still counts: its client did not come back.

    ``reason`` says so; ``attempt`` is whose value it is.
    """

    stream: StreamId
    attempt: Attempt
    reason: str


class ArrivalWaitBegan(PointEvent, frozen=True, kw_only=True):
    """A stream that has arrived waits for the others (again), which may have closed a cycle.

    ``ticket`` is its arrival; from now on it waits under the id ``request``.
    """

    stream: StreamId
    attempt: Attempt
    request: str
    ticket: Seq

    @property
    def caller(self) -> tuple[StreamId, Attempt]:
        return self.stream, self.attempt


class ConvergenceAggregated(PointEvent, frozen=True, kw_only=True):
    """Everybody has arrived or departed: ``value`` is what the values of a round came to.

    ``version`` of the shared state is the one that all have now; ``clashes`` are the keys of which
    a later snapshot was left out.
    """

    round: int
    value: Any
    streams: tuple[StreamId, ...]
    version: int = 0
    clashes: tuple[str, ...] = ()


class ArrivalReleased(CallEvent, frozen=True, kw_only=True):
    """A stream that arrived may go on; the value of the round is the answer to its request."""

    point: PointId
    round: int


class ConvergenceDeparted(PointEvent, frozen=True, kw_only=True):
    """A participant ended without a result; nobody waits for it any more."""

    stream: StreamId
    reason: str


class ConvergenceWaits(PointEvent, frozen=True, kw_only=True):
    """The point's strategy wants to be asked again at ``look_again_at`` (None: only when asked)."""

    reason: str
    look_again_at: float | None


class ConvergenceStarted(PointEvent, frozen=True, kw_only=True):
    """These streams are merged now; unless it ``is_final``, the point opens again after it."""

    streams: tuple[StreamId, ...]
    reason: str
    is_final: bool = True


class ConvergenceLeftOut(PointEvent, frozen=True, kw_only=True):
    """These streams did not merge; the point goes on without them until its last merge."""

    streams: tuple[StreamId, ...]
    reason: str


class ConvergenceMerged(PointEvent, frozen=True, kw_only=True):
    """The results stand in ``commit``; ``warnings`` say what deserves a look though it merged.

    Unless it ``is_final``, the point is open again for those that are still to come.
    """

    commit: str
    tree: str
    branch: str | None
    merged: tuple[StreamId, ...]
    warnings: tuple[str, ...] = ()
    is_final: bool = True


class ConflictFound(PointEvent, frozen=True, kw_only=True):
    """Results do not merge; ``stream`` is set when it happened while preparing that stream."""

    conflict: Conflict
    stream: StreamId | None = None


class ConvergenceBlocked(PointEvent, frozen=True, kw_only=True):
    """The point cannot go on by itself; if it ``is_fault``, a merge could not be done at all."""

    reason: str
    is_fault: bool = False


class ConvergenceAbandoned(PointEvent, frozen=True, kw_only=True):
    reason: str


class ConvergenceReopened(PointEvent, frozen=True, kw_only=True):
    reason: str
