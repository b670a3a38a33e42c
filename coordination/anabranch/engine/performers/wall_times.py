"""Looking at the clock on the wall for streams that wait for a time of day.

Inside, all time is that of the run clock, which nobody sets. What a time of day is on it changes
whenever the machine's clock is set or the machine has slept, so it is found again every few
seconds; the core hears of it when it has moved, and when it has come.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from zoneinfo import ZoneInfoNotFoundError

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.deciding.streams.windows import MOVED_SECONDS
from anabranch.engine.time_of_day import next_time, shown, zone_named

LOOK_SECONDS = 10.0
"""How late a time is started at most after the machine has slept, or its clock was set."""


class WallTimes:
    """Tells when times of day come, as often as that changes. Lives in the engine's event loop.

    Args:
        now: the run clock, in seconds.
        is_owed: says whether somebody still waits for the answer.
        post: takes what is found.
        wall: the clock on the wall, in seconds since 1970.
    """

    def __init__(
        self,
        now: Callable[[], float],
        is_owed: Callable[[fx.FindTime], bool],
        post: Callable[[inputs.Input], None],
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._now, self._is_owed, self._post, self._wall = now, is_owed, post, wall
        self._posted: dict[fx.FindTime, float | None] = {}
        self._come: set[fx.FindTime] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.trouble: str | None = None
        """Why a time cannot be found, in words."""

    def watch(self, effect: fx.FindTime) -> None:
        """Tell when a time comes, and when it has come, from now on."""
        self.add(effect)
        self._look_and_sleep()

    def add(self, effect: fx.FindTime) -> None:
        """Have a time found at the next look."""
        self._posted.setdefault(effect, None)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def look(self) -> float:
        """Tell what has changed; return in how many seconds there is to be looked again."""
        self.trouble, patience = None, LOOK_SECONDS
        for effect in [e for e in self._posted if not self._is_owed(e)]:
            del self._posted[effect]
            self._come.discard(effect)
        for effect in self._posted:
            try:
                left = self._look_for(effect)
            except (ZoneInfoNotFoundError, OSError, ValueError) as error:
                self.trouble = f"{effect.stream} waits: {error}"
            else:
                patience = min(patience, left)
        return patience

    def _look_for(self, effect: fx.FindTime) -> float:
        """Tell of one time, if it has moved or come; return for how long there is nothing new."""
        wall, zone = self._wall(), zone_named(effect.zone)
        due = next_time(effect.at, zone, effect.after_wall)
        due_at, has_come = self._now() + (due - wall), due <= wall
        known = self._posted[effect]
        if (
            known is None
            or abs(due_at - known) > MOVED_SECONDS
            or has_come > (effect in self._come)
        ):
            self._posted[effect] = due_at
            (self._come.add if has_come else self._come.discard)(effect)
            self._post(
                inputs.TimeFound(
                    stream=effect.stream,
                    due_at=due_at,
                    due_wall=due,
                    seen_wall=wall,
                    shown=shown(due, zone),
                    cause=effect.cause,
                )
            )
        return LOOK_SECONDS if has_come else due - wall

    def _look_and_sleep(self) -> None:
        self.close()
        patience = self.look()
        if self._posted:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(patience, self._look_and_sleep)
