"""How long a thread has worked on something: exact where it took long, cheap elsewhere.

The clock of a thread does not count what the thread was kept waiting on a busy machine, but asking
it is a system call; the clock on the wall costs next to nothing.
"""

from __future__ import annotations

import time

NOTABLE_SECONDS = 0.0005
"""What took less is not worth a look."""


class Stopwatch:
    """Laps of one thread's work, the first of which begins now."""

    __slots__ = ("_lap_began", "_not_counted", "_own_time")

    def __init__(self) -> None:
        self._own_time = time.thread_time()
        self._lap_began = time.perf_counter()
        self._not_counted = 0.0

    def lap(self) -> float:
        """End a lap and begin the next; return the seconds it took if they are notable, else 0.

        Of what was kept waiting between, nothing is ever counted as work of this lap.
        """
        now = time.perf_counter()
        passed = now - self._lap_began
        self._lap_began = now
        if passed <= NOTABLE_SECONDS:
            self._not_counted += passed
            return 0.0
        own_time = time.thread_time()
        worked = own_time - self._own_time - self._not_counted
        self._own_time, self._not_counted = own_time, 0.0
        return worked if worked > NOTABLE_SECONDS else 0.0
