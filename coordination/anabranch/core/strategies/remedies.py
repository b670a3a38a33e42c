"""What a remedy is: one rung of the guardian's ladder, which says what is done about a trouble."""

from __future__ import annotations

from typing import Protocol

import msgspec

from anabranch.core.ids import Attempt, StreamId


class Trouble(msgspec.Struct, frozen=True):
    """What a remedy sees of a stream in trouble; lengths of time in seconds.

    ``hard_recoveries`` is how often it was ended and started again for a trouble already, of
    ``max_retries`` times that the plan allows; ``grace_seconds`` is how long a question may wait.
    """

    stream: StreamId
    attempt: Attempt
    diagnosis: str
    evidence: str
    hard_recoveries: int
    max_retries: int
    grace_seconds: float
    is_optional: bool = False


class Ask(msgspec.Struct, frozen=True):
    """Ask the stream how it is, and wait so long for a sign."""

    text: str
    wait_seconds: float


class EndAndRetry(msgspec.Struct, frozen=True):
    """End its whole process tree, keep what it has done, and start it again."""

    reason: str


class RunAlone(msgspec.Struct, frozen=True):
    """What is left of the run goes one stream at a time, this one once more among them."""

    reason: str


class Drop(msgspec.Struct, frozen=True):
    """Go on without the stream; what it has done is kept."""

    reason: str


class EndRun(msgspec.Struct, frozen=True):
    """Stop the run; everything is kept."""

    reason: str


RemedyDecision = Ask | EndAndRetry | RunAlone | Drop | EndRun


class Remedy(Protocol):
    """One rung of the ladder; a plan names its last one (``fallback``)."""

    @property
    def name(self) -> str: ...

    def remedy(self, view: Trouble, now: float) -> RemedyDecision:
        """Return what is done about a stream in trouble."""
        ...
