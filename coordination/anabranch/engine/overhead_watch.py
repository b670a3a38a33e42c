"""Looks at what coordination costs, now and then: it is a sum over all streams of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from anabranch.core import inputs
from anabranch.core.deciding import overhead
from anabranch.core.model.state import State
from anabranch.engine.source import Overhead

LOOK_SECONDS = 1.0


class OverheadWatch:
    """Tells when the cost passes its target, or is back within it.

    Args:
        cost: adds up what coordination has cost so far.
        now: the time in seconds, of any clock that only goes forward.
    """

    def __init__(self, cost: Callable[[], Overhead], now: Callable[[], float]) -> None:
        self._cost, self._now = cost, now
        self._due = 0.0

    def look(self, state: State) -> Iterable[inputs.Input]:
        """Return what the engine has to know; called as often as one likes."""
        now = self._now()
        if now < self._due:
            return ()
        self._due = now + LOOK_SECONDS
        cost = self._cost()
        return overhead.look(state, cost.share, cost.by_category)
