"""What stands before a line of a log: when it was written, and by whom."""

from __future__ import annotations

import time
from collections.abc import Sequence

from anabranch.engine.log_times import Moment
from anabranch_console.lines import Line, Span, fit, text_cells
from anabranch_console.presenters.wording import safe

CLOCK_CELLS, DAY_CELLS = 8, 6
LONGEST_NAME_CELLS = 16
AFTER_NAME = " | "
_HUES = ("log.blue", "log.magenta", "log.cyan", "log.green", "log.yellow")


class Prefix:
    """What stands before each line of a view.

    Args:
        with_times: whether that is when it was written.
        with_day: whether also on which day.
        names: the names of the logs; none if it is clear whose lines they are.
        cells: how wide the view is.
    """

    def __init__(
        self, *, with_times: bool, with_day: bool, names: Sequence[str], cells: int
    ) -> None:
        self._with_times, self._with_day = with_times, with_day
        longest = max((text_cells(safe(name)) for name in names), default=0)
        self._name_cells = min(longest, LONGEST_NAME_CELLS, max(cells // 4, 4))
        self._names = [fit(safe(name), self._name_cells) for name in names]
        self._clock_cells = CLOCK_CELLS + (DAY_CELLS if with_day else 0)

    @property
    def cells(self) -> int:
        """How wide it is."""
        name = self._name_cells + len(AFTER_NAME) if self._names else 0
        return name + (self._clock_cells + 1 if self._with_times else 0)

    def of_line(self, source: int, moment: Moment | None) -> Line:
        """Return what stands before a line of one of the logs."""
        spans = []
        if self._with_times:
            clock = in_clock(moment, with_day=self._with_day) if moment else ""
            spans.append(Span(f"{clock:<{self._clock_cells}} ", "muted"))
        if self._names:
            hue = _HUES[source % len(_HUES)]
            spans += [Span(self._names[source], hue), Span(AFTER_NAME, "muted")]
        return tuple(spans)

    def of_more(self) -> Line:
        """Return what stands before a piece of a line that is wrapped."""
        return (Span(" " * self.cells),) if self.cells else ()


def in_clock(moment: Moment, *, with_day: bool) -> str:
    """Return a moment as local time, no finer than it is known: ``14:02:11``, ``~14:02``."""
    local = time.localtime(moment.wall)
    if moment.within_seconds <= 1:
        form = "%H:%M:%S"
    else:
        form = "~%H:%M" if moment.within_seconds <= 60 else "~%H h"
    return time.strftime(f"%m-%d {form}" if with_day else form, local)


def is_of_another_day(moment: Moment | None) -> bool:
    """Return whether a moment is not of today."""
    if moment is None:
        return False
    return time.localtime(moment.wall)[:3] != time.localtime()[:3]
