"""Events of circuit breakers: what is kept from failing again and again, and until when."""

from __future__ import annotations

from anabranch.core.events.base import Event


class BreakerOpened(Event, frozen=True, kw_only=True):
    """Too much of the same has failed: nothing of it starts before ``until`` (run seconds).

    ``breaker`` names a command or a capability. ``failures`` of the last ``outcomes`` attempts
    failed, where ``usual_rate`` (0..1) is the share that was usual before.
    """

    breaker: str
    until: float
    failures: int
    outcomes: int
    usual_rate: float
    reason: str


class BreakerHalfOpened(Event, frozen=True, kw_only=True):
    """Its time is over: one stream may start, to try whether it goes again."""

    breaker: str


class BreakerClosed(Event, frozen=True, kw_only=True):
    """Streams start again as they come; ``by`` is ``guardian`` or ``operator``.

    ``usual_rate`` (0..1) is the share of failures that counts as usual from now on.
    """

    breaker: str
    reason: str
    by: str
    usual_rate: float
