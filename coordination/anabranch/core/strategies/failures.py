"""What a failure classifier is: it says what kind of failure an attempt ended with."""

from __future__ import annotations

from typing import Protocol

import msgspec

from anabranch.core.ids import Attempt, StreamId


class EndedAttempt(msgspec.Struct, frozen=True):
    """What a classifier sees of an attempt that ended without success.

    ``exit_code`` or ``signal`` (a number) say how its process ended; both are None if it could not
    be run or was lost. ``reason`` says it in words, and ``log_tail`` holds the last lines of its
    output, which are the stream's own words and no fact.
    """

    stream: StreamId
    attempt: Attempt
    exit_code: int | None
    signal: int | None
    reason: str
    log_tail: tuple[str, ...] = ()


class FailureClass(msgspec.Struct, frozen=True):
    """A kind of failure; one that ``is_permanent`` would happen again, so it is not tried again.

    ``evidence`` is what told it, as a line of the log.
    """

    name: str
    is_permanent: bool = False
    evidence: str = ""

    @property
    def words(self) -> str:
        return f"{self.name}: {self.evidence}" if self.evidence else self.name


CANNOT_START = FailureClass("cannot start", is_permanent=True)
CERTAIN = FailureClass("permanent", is_permanent=True)
"""The engine knows that it would happen again: the reason says why."""

NOT_CAPTURED = FailureClass("not captured", is_permanent=True)
"""Its process ended well, and its work could not be kept: that is tried again, not the work."""

ENDED = FailureClass("ended by the engine")
"""It stood still, or ran longer than it may, or a person wanted it ended."""

UNKNOWN = FailureClass("unknown")


class FailureClassifier(Protocol):
    """Tells failures that may pass from those that would happen again."""

    @property
    def name(self) -> str: ...

    def classify(self, view: EndedAttempt) -> FailureClass | None:
        """Return the class of a failure, or None if somebody else may know it."""
        ...
