"""A clock on the wall of a simulated world, which shows UTC, and somebody who sets it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from zoneinfo import ZoneInfo

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.engine.time_of_day import next_time
from anabranch.testing.agenda import Agenda

UTC = ZoneInfo("UTC")


class SimulatedWall:
    """Tells when times of day come, as often as that changes.

    Args:
        now: the run clock, in seconds.
        agenda: what is to happen later.
        post: takes what is found.
        sometimes: counts what a test wants to see now and then.
    """

    def __init__(
        self,
        now: Callable[[], float],
        agenda: Agenda,
        post: Callable[[inputs.Input, fx.Effect | None], None],
        sometimes: Callable[[str], None],
    ) -> None:
        self._now, self._agenda, self._post, self._sometimes = now, agenda, post, sometimes
        self._ahead = 0.0
        self._watched: dict[fx.FindTime, None] = {}

    def set_by(self, seconds: float) -> None:
        """Somebody sets the clock, or the machine has slept for a while."""
        self._ahead += seconds
        self._sometimes("the clock on the wall was set")
        for effect in list(self._watched):
            self._look(effect)

    def watch(self, effect: fx.FindTime) -> None:
        """Tell when a time comes, and when it has come."""
        self._watched[effect] = None
        self._look(effect)

    def forget(self) -> None:
        """Nobody waits for an answer any more."""
        self._watched.clear()

    def _look(self, effect: fx.FindTime) -> None:
        if effect not in self._watched:
            return
        wall = self._now() + self._ahead
        due = next_time(effect.at, UTC, effect.after_wall)
        found = inputs.TimeFound(
            stream=effect.stream,
            due_at=self._now() + (due - wall),
            due_wall=due,
            seen_wall=wall,
            shown=effect.at,
            cause=effect.cause,
        )
        self._agenda.after(0.0, lambda: self._post(found, None), volatile=True)
        if due > wall:
            self._agenda.after(due - wall, partial(self._look, effect), volatile=True)
        else:
            self._sometimes("a time of day came")
            del self._watched[effect]
