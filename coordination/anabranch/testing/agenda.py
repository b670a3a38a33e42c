"""What happens next in a simulated world: moments on a virtual clock, in order.

An entry is *volatile* if it lives in the engine's process (a timer, an answer under way), so that a
crash takes it along; what the world does by itself (a process that runs) goes on.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from anabranch.testing.clock import FakeClock

Action = Callable[[], None]


class Agenda:
    """Actions at moments to come; equal moments keep the order in which they were entered."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._entries: list[tuple[float, int, bool, Action]] = []
        self._entered = 0

    def __len__(self) -> int:
        return len(self._entries)

    def after(self, seconds: float, action: Action, *, volatile: bool = False) -> None:
        """Enter an action for ``seconds`` from now."""
        self._entered += 1
        moment = self._clock() + max(0.0, seconds)
        heapq.heappush(self._entries, (moment, self._entered, volatile, action))

    def step(self) -> None:
        """Move the clock to the next entry and do it."""
        moment, _, _, action = heapq.heappop(self._entries)
        self._clock.advance_to(moment)
        action()

    def forget_volatile(self) -> None:
        """Drop what does not survive a crash of the engine."""
        self._entries = [entry for entry in self._entries if not entry[2]]
        heapq.heapify(self._entries)
