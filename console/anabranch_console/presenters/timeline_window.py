"""Which part of a run's time is in sight, how much of it a cell is, and what the axis says."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from math import floor
from typing import NamedTuple

from anabranch_console.lines import fit
from anabranch_console.presenters.wording import clock

SECONDS_A_CELL = (
    *(
        0.05,
        0.1,
        0.2,
        0.3,
        0.5,
        1.0,
        2.0,
        3.0,
        5.0,
        10.0,
        15.0,
        20.0,
        30.0,
        60.0,
        120.0,
        300.0,
        600.0,
    ),
    *(900.0, 1800.0, 3600.0, 7200.0, 14400.0, 28800.0, 86400.0, 172800.0, 345600.0, 604800.0),
)
"""How much of the time a cell can be, so that what the axis says is round."""

_AHEAD_SHARE = 0.75
"""Where now stands in a window that goes along with it."""
_STEPS = 8
_TICK_CELLS = 8


class Window(NamedTuple):
    """A stretch of time (run seconds) in cells."""

    begin: float
    cell_seconds: float
    cells: int

    @property
    def end(self) -> float:
        """When the last cell ends."""
        return self.begin + self.cell_seconds * self.cells

    def cell_of(self, at: float) -> int:
        """Return the cell of a moment; it may lie outside."""
        return floor((at - self.begin) / self.cell_seconds + 1e-9)


@dataclass(frozen=True, slots=True)
class Sight:
    """What was asked to be seen: all of the run, so much a cell from now, or from a moment on."""

    cell_seconds: float | None = None
    begin: float | None = None

    def window(self, now: float, end: float, cells: int) -> Window:
        """Return the window for a run that is expected to end at ``end``."""
        cells = max(cells, 1)
        seconds = self.cell_seconds
        if seconds is None:
            return Window(0.0, _step_for(end / cells), cells)
        if self.begin is not None:
            return Window(self.begin, seconds, cells)
        step = seconds * max(cells // _STEPS, 1)  # it moves now and then, not with every cell
        begin = floor((now - _AHEAD_SHARE * cells * seconds) / step) * step
        return Window(max(begin, 0.0), seconds, cells)

    def zoomed(self, window: Window, now: float, steps: int) -> Sight:
        """Return the sight of less (1) or more (-1) time; what is in the middle stays there."""
        at = _index(window.cell_seconds) - steps
        seconds = SECONDS_A_CELL[max(0, min(at, len(SECONDS_A_CELL) - 1))]
        goes_along = self.begin is None and window.begin <= now <= window.end
        if goes_along:
            return Sight(seconds)
        middle = (window.begin + window.end) / 2
        return Sight(seconds, max(middle - seconds * window.cells / 2, 0.0))

    def moved(self, window: Window, end: float, way: int) -> Sight:
        """Return the sight of a quarter of a window later (1) or earlier (-1), within the run."""
        step = window.cell_seconds * max(window.cells // 4, 1)
        last = max(end - step, 0.0)
        return Sight(window.cell_seconds, max(0.0, min(window.begin + way * step, last)))


WHOLE = Sight()


def axis(window: Window) -> str:
    """Return what the axis says: round moments of the run's clock, each at its cell."""
    tick = _step_for(window.cell_seconds * _TICK_CELLS)
    every = max(round(tick / window.cell_seconds), _TICK_CELLS)
    first = -floor(-window.begin / (every * window.cell_seconds))
    text, number = "", first
    while True:  # until there is no room for another
        at = number * every * window.cell_seconds
        cell, words = window.cell_of(at), moment(at, window.cell_seconds)
        if cell + len(words) > window.cells:
            return fit(text, window.cells)
        text = fit(text, cell) + words
        number += 1


def moment(at: float, cell_seconds: float) -> str:
    """Return a moment of the run's clock, as exact as a cell is."""
    if cell_seconds >= 1:
        return clock(at)
    minutes, seconds = divmod(at, 60)
    return f"{int(minutes):02}:{seconds:04.1f}"


def cell_words(seconds: float) -> str:
    """Return how much time a cell is: ``0.5 s``, ``30 s``, ``5 min``, ``2 h``."""
    if seconds < 60:
        return f"{seconds:g} s"
    return f"{seconds / 60:g} min" if seconds < 3600 else f"{seconds / 3600:g} h"


def _step_for(seconds: float) -> float:
    return SECONDS_A_CELL[_index(seconds)]


def _index(seconds: float) -> int:
    return min(bisect_left(SECONDS_A_CELL, seconds), len(SECONDS_A_CELL) - 1)
