"""What is seen of services: that one is ready, and that one answers no more."""

from __future__ import annotations

from anabranch.core.inputs.base import AttemptObservation


class HealthSeen(AttemptObservation, frozen=True):
    """A service that was ready answers no more, since ``since`` (run seconds); ``evidence`` is what
    was seen.
    """

    evidence: str
    since: float


class ReadinessSeen(AttemptObservation, frozen=True):
    """A service is ready, or was not in its time; ``evidence`` is what was seen."""

    is_ready: bool
    evidence: str
