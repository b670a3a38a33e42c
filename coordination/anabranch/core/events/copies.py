"""Events of streams that have a second copy beside them."""

from __future__ import annotations

from anabranch.core.events.base import StreamEvent
from anabranch.core.ids import Attempt


class StreamCopied(StreamEvent, frozen=True, kw_only=True):
    """A second copy of a stream was let in, as ``attempt``, beside attempt ``of``.

    That one had worked for ``elapsed_seconds``, and 19 of 20 take no longer than ``long_seconds``;
    ``idle_slots`` were free, and nobody was ready to run in them.
    """

    attempt: Attempt
    of: Attempt
    elapsed_seconds: float
    long_seconds: float
    idle_slots: int
    slot: int
    incarnation: int
    placed_because: str = ""
    amounts: dict[str, float]


class CommitGranted(StreamEvent, frozen=True, kw_only=True):
    """``attempt`` alone may have an effect from now on, and ``over`` may not any more.

    Of two that run at a time one is granted this, once: the first that succeeds, or that asks for
    something by which others would notice it. ``saved_seconds`` is how much longer the other one
    was expected to take, where it is the copy that was first.
    """

    attempt: Attempt
    over: Attempt
    reason: str
    saved_seconds: float = 0.0


class CopyTookOver(StreamEvent, frozen=True, kw_only=True):
    """Attempt ``of`` has failed, and its copy, ``attempt``, goes on as the stream."""

    attempt: Attempt
    of: Attempt
    reason: str


class AttemptFenced(StreamEvent, frozen=True, kw_only=True):
    """An attempt of two is to end, and nothing that it does counts; it has not failed."""

    attempt: Attempt
    reason: str


class CopyEnded(StreamEvent, frozen=True, kw_only=True):
    """Of two attempts one is over, and what it had written is kept; it counts for nothing."""

    attempt: Attempt
    reason: str
