"""Events of the guardian: what it undertook, how that ended, and what it only tells."""

from __future__ import annotations

from anabranch.core.events.base import Event, PointEvent, StreamEvent
from anabranch.core.ids import Attempt, StreamId

BY_GUARDIAN, BY_MACHINE = "guardian", "machine"
"""Who changed how many streams run at a time."""


class RecoveryStarted(StreamEvent, frozen=True, kw_only=True):
    """A remedy begins: ``remedy`` names the rung, ``diagnosis`` and ``evidence`` say what for.

    ``by`` is ``guardian`` or ``operator``; without a sign by ``deadline`` (run seconds) the next
    rung follows. One that ``drops`` goes on without the stream.
    """

    attempt: Attempt
    remedy: str
    diagnosis: str
    evidence: str
    reason: str
    by: str
    deadline: float | None = None
    drops: bool = False


class StreamAsked(StreamEvent, frozen=True, kw_only=True):
    """A silent stream was asked for a sign in its plan's ``way``; ``outcome`` is how that went."""

    attempt: Attempt
    way: str
    outcome: str


class RecoveryFinished(StreamEvent, frozen=True, kw_only=True):
    """A remedy is over; ``outcome``: recovered, escalated, called_off or gave_up."""

    attempt: Attempt
    remedy: str
    outcome: str
    reason: str
    seconds: float


class GuardianAlerted(StreamEvent, frozen=True, kw_only=True):
    """Something is wrong, and nothing is done about it: why not, and what a person can do.

    ``look_again_at`` is when the guardian decides anew (run seconds).
    """

    attempt: Attempt
    diagnosis: str
    reason: str
    hint: str
    look_again_at: float | None = None


class ConvergenceOverdue(PointEvent, frozen=True, kw_only=True):
    """Streams wait at a point for longer than its timeout; ``waiting_for`` hold it up."""

    waited_seconds: float
    waiting_for: tuple[StreamId, ...]


class ParallelismChanged(Event, frozen=True, kw_only=True):
    """From now on at most this many streams run at a time.

    The guardian narrows a run for the rest of it; the *machine* widens and narrows one whose plan
    leaves the width to it. ``was`` is how many it was before, 0 where an earlier version wrote it.
    """

    max_parallel: int
    reason: str
    by: str = BY_GUARDIAN
    was: int = 0
