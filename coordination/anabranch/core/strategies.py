"""What a strategy is: a plain value with a name, asked for a decision and nothing else.

A strategy gets an immutable view and, where it matters, the time; it returns a decision. It keeps
no state, reads no clock and does no input or output. What it decided goes into the event, so a
replay never asks again. Plugins bring strategies; the core only knows these protocols.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from anabranch.core.ids import Attempt, PointId, StreamId


class PointView(msgspec.Struct, frozen=True):
    """What a convergence type sees of a point.

    ``arrived`` are participants whose result is captured, in order of arrival; ``departed`` are
    those that ended without one, each with its reason; ``expected`` counts all participants.
    """

    point: PointId
    expected: int
    arrived: Sequence[StreamId]
    departed: Mapping[StreamId, str]
    options: Mapping[str, object]

    @property
    def outstanding(self) -> int:
        """How many participants have neither arrived nor departed."""
        return self.expected - len(self.arrived) - len(self.departed)


class WaitForMore(msgspec.Struct, frozen=True):
    """The point is not ready; ``reason`` says what it waits for."""

    reason: str


class Converge(msgspec.Struct, frozen=True):
    """Merge these streams now."""

    streams: tuple[StreamId, ...]
    reason: str


class Abandon(msgspec.Struct, frozen=True):
    """Nothing will ever come to merge here."""

    reason: str


PointDecision = WaitForMore | Converge | Abandon


class ConvergenceType(Protocol):
    """Decides when a convergence point merges, and whom."""

    @property
    def name(self) -> str: ...

    def next_step(self, view: PointView) -> PointDecision:
        """Return what the point does next; called whenever a participant arrives or departs."""
        ...


class QueuedStream(msgspec.Struct, frozen=True):
    """What a load balancer sees of a stream that is ready to run.

    ``remaining_path_seconds`` is the longest estimated path from this stream to the end of the
    plan, itself included (the upward rank of HEFT, Topcuoglu 2002).
    """

    stream: StreamId
    position: int
    priority: int
    estimate_seconds: float
    remaining_path_seconds: float
    attempt: Attempt


class LoadBalancer(Protocol):
    """Orders the queue of streams that are ready; free slots pull from its head."""

    @property
    def name(self) -> str: ...

    def rank(self, view: QueuedStream) -> tuple[float, ...]:
        """Return the stream's place: the smallest rank runs first, ties go by plan order."""
        ...


class FailedAttempt(msgspec.Struct, frozen=True):
    """What a recovery strategy sees of an attempt that did not succeed."""

    stream: StreamId
    attempt: Attempt
    retries: int
    max_retries: int
    reason: str
    is_permanent: bool
    seed: int


class Retry(msgspec.Struct, frozen=True):
    """Run the stream again after a delay; it holds no slot meanwhile."""

    delay_seconds: float
    reason: str


class GiveUp(msgspec.Struct, frozen=True):
    """Leave the stream failed."""

    reason: str


RecoveryDecision = Retry | GiveUp


class RecoveryStrategy(Protocol):
    """Decides what follows an attempt that failed or was lost."""

    @property
    def name(self) -> str: ...

    def after_failure(self, view: FailedAttempt) -> RecoveryDecision:
        """Return whether and when the stream is tried again."""
        ...


class Strategies(msgspec.Struct, frozen=True):
    """Every strategy that is installed, by name."""

    convergence: Mapping[str, ConvergenceType]
    balancers: Mapping[str, LoadBalancer]
    recovery: Mapping[str, RecoveryStrategy]
