"""How often somebody may call: a bucket of calls that refills with time.

A call that took the engine longer than others counts for as many of them as its share allows, so
that nobody can keep the engine from the others, whatever it thinks of to ask.
"""

from __future__ import annotations

CALLS_PER_SECOND = 10_000.0
BURST = 20_000.0
SHARE = 0.25
"""How much of the engine's time one caller may take, once its burst is used up."""

LONGEST_OVERDRAFT_SECONDS = 60.0


class Bucket:
    """One caller's allowance; it may be overdrawn, and then says for how long to pause."""

    __slots__ = ("_at", "_left", "_per_second")

    def __init__(
        self, now: float, per_second: float = CALLS_PER_SECOND, burst: float = BURST
    ) -> None:
        self._left = burst
        self._per_second = per_second
        self._at = now

    def take(self, now: float, burst: float = BURST) -> float:
        """Take one call at monotonic time ``now``; return the seconds to wait before the next."""
        self._left = min(burst, self._left + (now - self._at) * self._per_second) - 1.0
        self._at = now
        return max(0.0, -self._left / self._per_second)

    def charge(self, seconds: float) -> None:
        """Count what the engine has spent on a call beside what every call costs."""
        least = -LONGEST_OVERDRAFT_SECONDS * self._per_second
        self._left = max(least, self._left - seconds * self._per_second / SHARE)
