"""Events of locks and of the cycles that waiting for them can close."""

from __future__ import annotations

from anabranch.core.events.base import CallEvent, Edge, WaitBegan
from anabranch.core.ids import LockMode, Seq, StreamId


class LockQueued(WaitBegan, frozen=True, kw_only=True):
    """The path is not free; the number of this event is the ticket of the wait.

    ``upgrades`` is the fence of the read lock that shall become a write lock.
    """

    path: str
    mode: LockMode
    holder: StreamId
    position: int
    upgrades: Seq | None = None


class LockGranted(CallEvent, frozen=True, kw_only=True):
    """A lease on a path; ``fence`` is the number of this event, so fences strictly grow."""

    path: str
    mode: LockMode
    fence: Seq
    ticket: Seq | None = None
    waited_seconds: float = 0.0
    upgrades: Seq | None = None


class LockReleased(CallEvent, frozen=True, kw_only=True):
    """A lock was given back, or taken away by the operator's request ``taken_by``."""

    path: str
    mode: LockMode
    fence: Seq
    held_seconds: float
    reason: str
    taken_by: str = ""


class LockExpired(CallEvent, frozen=True, kw_only=True):
    """Nothing was heard from its holder for too long; its fence is worth nothing any more."""

    path: str
    mode: LockMode
    fence: Seq
    held_seconds: float
    reason: str


class LockWithdrawn(CallEvent, frozen=True, kw_only=True):
    """A wait for a lock is over without a grant; ``request`` is the one that waited."""

    path: str
    mode: LockMode
    ticket: Seq
    waited_seconds: float
    reason: str
    hint: str
    cycle: tuple[Edge, ...] = ()


class LeaseRenewed(CallEvent, frozen=True, kw_only=True):
    """The holder was heard from; all its locks are good until then (run seconds)."""

    until: float


class LeaseDoubted(CallEvent, frozen=True, kw_only=True):
    """A lease has run out; what the holder said meanwhile is let in before it counts."""

    until: float


class DeadlockDetected(CallEvent, frozen=True, kw_only=True):
    """Streams wait for each other in a ring; the wait of ``victim`` is given up."""

    victim: StreamId
    cycle: tuple[Edge, ...]
    reason: str


class LockViolated(CallEvent, frozen=True, kw_only=True):
    """A stream wrote where it may not; ``holder`` has the lock, None: outside its ``writes``."""

    path: str
    holder: StreamId | None
    fence: Seq | None
    reason: str


class ViolationAllowed(CallEvent, frozen=True, kw_only=True):
    """The operator lets what a stream wrote be merged; None means all of its paths."""

    path: str | None
    reason: str
