"""A circuit breaker over the handlers of one function.

What fails for everybody is held back: nothing starts until one handler has tried and got through.
When it opens, and for how long, is what holds for streams, too
(:mod:`anabranch.core.strategies.breaking`). It knows no clock: the time is passed in.
"""

from __future__ import annotations

from collections import deque

from anabranch.core.strategies.breaking import (
    LEAST_FAILING,
    MOST_OPENINGS,
    is_clearly_more,
    seconds_open,
)

FEWEST_OUTCOMES = 50
"""How many outcomes it looks at, or as many as run at once, if that is more."""


class Breaker:
    """Closed while things go as usual, open until a time, then half open for one that tries."""

    def __init__(self, width: int) -> None:
        """Begin closed, for so many handlers at a time."""
        self._recent: deque[tuple[int, bool]] = deque(maxlen=max(width, FEWEST_OUTCOMES))
        self._usual = self._usual_before = 0.0
        self._openings = 0
        self._until: float | None = None
        self._has_probe = False

    @property
    def is_closed(self) -> bool:
        """Whether handlers start as they come."""
        return self._until is None

    def admit(self, now: float) -> bool | None:
        """Return whether who starts now is the one that tries; None if nobody may start."""
        if self._until is None:
            return False
        if self._has_probe or now < self._until:
            return None
        self._has_probe = True
        return True

    def seconds_left(self, now: float) -> float | None:
        """Return how long it stays open, None if that depends on the one that tries."""
        return None if self._until is None or self._has_probe else max(0.0, self._until - now)

    def take(self, place: int, *, has_failed: bool, is_probe: bool, now: float) -> bool:
        """Hear how a handler has ended; return whether anything changed for those who wait."""
        self._recent.append((place, has_failed))
        self._usual += (has_failed - self._usual) / (self._recent.maxlen or FEWEST_OUTCOMES)
        if not has_failed:
            self._usual_before = self._usual
        if is_probe:
            self._judge(has_failed, now)
        elif self.is_closed and has_failed and self._should_open():
            self._open(now)
        else:
            return False
        return True

    def _judge(self, has_failed: bool, now: float) -> None:
        """Close or open again; who fails for reasons of its own is not held back for ever."""
        if has_failed and self._openings < MOST_OPENINGS:
            self._open(now)
            return
        if has_failed:
            self._usual = self._usual_before = 1.0
        self._until, self._has_probe, self._openings = None, False, 0
        self._recent.clear()

    def _open(self, now: float) -> None:
        self._until, self._has_probe = now + seconds_open(self._openings), False
        self._openings += 1

    def _should_open(self) -> bool:
        failures = sum(has_failed for _, has_failed in self._recent)
        if not is_clearly_more(failures, len(self._recent), self._usual_before):
            return False
        return len({place for place, has_failed in self._recent if has_failed}) >= LEAST_FAILING
