"""How many handlers are started in a window of time, and no more."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

from . import book


class Rate:
    """At most so many starts in any window of so many seconds.

    Who begins has a place in the window from then on, and one in time from its start on: between
    the two a workspace is made for it, or there is no room for a process yet.
    """

    def __init__(
        self, at_most: int | None, per_seconds: float, earlier: Iterable[float] = ()
    ) -> None:
        """Prepare.

        Args:
            at_most: so many starts are in any window; None if nobody counts them.
            per_seconds: how long the window is.
            earlier: starts of before, by the same clock as all that follow, the last one last.
        """
        self._at_most, self._per_seconds = at_most, per_seconds
        self._starts = deque(earlier, maxlen=at_most or 0)
        self._begun = 0

    def wait_seconds(self, now: float) -> float:
        """Return in how many seconds the next may begin, if only time says; else for ever."""
        free_at = self._free_at()
        return free_at - now if free_at > now else math.inf

    def allows(self, now: float) -> bool:
        """Return whether the next may begin now."""
        return self._free_at() <= now

    def _free_at(self) -> float:
        """Return from when on the next may begin, if nothing else is started until then."""
        if self._at_most is None:
            return 0.0
        room = self._at_most - self._begun
        if room <= 0:
            return math.inf
        return self._starts[-room] + self._per_seconds if len(self._starts) >= room else 0.0

    def begins(self) -> None:
        """Note that one begins, and will start."""
        self._begun += 1

    def started(self, at: float) -> None:
        """Note that one which has begun is started."""
        self._begun -= 1
        self._starts.append(at)

    def given_up(self) -> None:
        """Note that one which has begun will not start."""
        self._begun -= 1


def last_begun(path: str, most: int, wall: float, now: float) -> list[float]:
    """Return when the last handlers of a book began, by the clock that says ``now``.

    The book tells the time on the wall, which is ``wall`` now; what it says to come is as of now.
    """
    walls = deque((line[4] for line in book.lines(path) if line[0] == book.BEGUN), maxlen=most)
    return sorted(now - max(0.0, wall - at) for at in walls)
