"""What a recovery strategy is: it says what follows an attempt that did not succeed."""

from __future__ import annotations

from typing import Protocol

import msgspec

from anabranch.core.ids import Attempt, StreamId


class FailedAttempt(msgspec.Struct, frozen=True):
    """What a recovery strategy sees of an attempt that did not succeed.

    ``attempt`` counts from 1; ``retries`` is how many were made already, ``max_retries`` how many
    the plan allows. ``reason`` says what happened, as ``exit 1``; ``is_permanent`` that the same
    would happen again, as when the command is not there; ``failure_class`` what kind of failure it
    is, as ``rate limited``. ``seed`` is a number of this attempt's own, to draw a delay from.
    """

    stream: StreamId
    attempt: Attempt
    retries: int
    max_retries: int
    reason: str
    is_permanent: bool
    seed: int
    failure_class: str = ""


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
