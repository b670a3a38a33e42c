"""Events of services: streams that are not expected to end."""

from __future__ import annotations

from anabranch.core.events.base import StreamEvent
from anabranch.core.ids import Attempt


class ServiceReady(StreamEvent, frozen=True, kw_only=True):
    """It does what others wait for; ``evidence`` says by what that was seen."""

    attempt: Attempt
    evidence: str


class ServiceUnhealthy(StreamEvent, frozen=True, kw_only=True):
    """It was ready and answers no more, since ``since`` (run seconds), so it has failed."""

    attempt: Attempt
    evidence: str
    since: float


class ServiceLetGo(StreamEvent, frozen=True, kw_only=True):
    """Nobody needs the service any more, so it is ended, which is not a failure."""

    attempt: Attempt
    reason: str
