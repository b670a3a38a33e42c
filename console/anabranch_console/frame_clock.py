"""When to paint next.

Ten frames a second are plenty for people. A frame that costs much of its period slows the clock
down, so that painting never eats the processor the streams need; a terminal that does not read
makes it skip frames, because the library's output queue blocks the whole program once it is full;
and a window nobody looks at gets one frame a second.
"""

from __future__ import annotations

from typing import Protocol

PERIOD_SECONDS = 0.1
SLOWEST_PERIOD_SECONDS = 1.0
BLURRED_PERIOD_SECONDS = 1.0
COSTLY_SHARE = 0.3
CHEAP_SHARE = 0.1
WRITES_WAITING_LIMIT = 2


class FrameClock:
    """Decides the time to the next frame from what the last ones cost."""

    def __init__(self, period_seconds: float = PERIOD_SECONDS) -> None:
        self.fastest_seconds = period_seconds
        self.period_seconds = period_seconds
        self.is_focused = True
        self.skipped = 0

    def may_paint(self, writes_waiting: int) -> bool:
        """Return whether the terminal has taken what was painted before."""
        if writes_waiting > WRITES_WAITING_LIMIT:
            self.skipped += 1
            return False
        return True

    def after_frame(self, cost_seconds: float) -> float:
        """Return the seconds to wait for the next frame, knowing what this one cost."""
        if cost_seconds > COSTLY_SHARE * self.period_seconds:
            self.period_seconds = min(self.period_seconds * 2, SLOWEST_PERIOD_SECONDS)
        elif cost_seconds < CHEAP_SHARE * self.period_seconds:
            self.period_seconds = max(self.period_seconds / 2, self.fastest_seconds)
        if not self.is_focused:
            return max(self.period_seconds, BLURRED_PERIOD_SECONDS)
        return self.period_seconds


class _Queue(Protocol):
    def qsize(self) -> int: ...


def writes_waiting(driver: object) -> int:
    """Return how many writes the terminal has not taken yet, 0 if nobody can tell.

    The terminal library has no public way to ask, and none at all without a real terminal.
    """
    queue: _Queue | None = getattr(getattr(driver, "_writer_thread", None), "_queue", None)
    return queue.qsize() if queue is not None else 0
