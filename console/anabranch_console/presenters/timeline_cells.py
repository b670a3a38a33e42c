"""One row of the timeline: what of a stream's time each cell shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from anabranch.core.plans.forecast import Expected
from anabranch.core.views.density import Density
from anabranch.core.views.spells import Spell, until
from anabranch_console.glyphs import Glyphs
from anabranch_console.lines import Line, Span
from anabranch_console.presenters.timeline_window import Window

WAIT_LETTERS = {
    "dependency": "d",
    "queue": "q",
    "time": "t",
    "retry": "r",
    "lock": "l",
    "resource": "u",
    "point": "p",
    "disk": "f",
    "operator": "o",
}
"""What a wait is for, as the first cell of it tells."""

_INSTANT = 1e-6
_WEIGHT = {"merge": 8.0, "wait": 2.0, "ran": 1.0, "work": 0.75}
"""What shows in a cell that several things share: a wait within a run before the run."""


class Cell(NamedTuple):
    """One sign in one style."""

    sign: str
    style: str


def stream_line(
    spells: list[Spell],
    window: Window,
    now: float,
    glyphs: Glyphs,
    *,
    plan: Expected | None = None,
    marks_now: bool = True,
) -> Line:
    """Return the row of a stream: what it did until now, and when it is expected to run.

    Args:
        spells: all that it did.
        window: the time in sight.
        now: until when it is told (run seconds).
        glyphs: the signs.
        plan: when it is expected to run, None if it is not.
        marks_now: whether now is marked; not in a run that is over.
    """
    shown = _spells_by_cell(until(spells, now), window, now)
    cells = [_sign_of(shown, index, glyphs) for index in range(window.cells)]
    now_cell = window.cell_of(now)
    if plan is not None:
        begin, end = window.cell_of(max(plan.start, now)), window.cell_of(plan.end - _INSTANT)
        for index in range(max(begin, 0), min(end + 1, window.cells)):
            if shown[index] is None and plan.end > now:
                cells[index] = Cell(glyphs.gantt["planned"], "muted")
    if marks_now:
        mark_now(cells, now_cell, glyphs)
    return _as_line(cells)


def density_line(
    density: Density, most: float, window: Window, now: float, glyphs: Glyphs, *, marks_now: bool
) -> Line:
    """Return the row of a stream's handlers: how many ran at a time, ``most`` being full."""
    full, cells = len(glyphs.spark) - 1, []
    for index in range(window.cells):
        begin = window.begin + index * window.cell_seconds
        mean = density.mean(begin, begin + window.cell_seconds)
        level = min(full, max(1, round(mean / most * full))) if mean > 0 and most > 0 else 0
        cells.append(Cell(glyphs.spark[level], "accent"))
    if marks_now:
        mark_now(cells, window.cell_of(now), glyphs)
    return _as_line(cells)


def most_at_a_time(density: Density, window: Window) -> float:
    """Return how many handlers a cell in sight has at most, in the mean."""
    begins = (window.begin + index * window.cell_seconds for index in range(window.cells))
    return max((density.mean(b, b + window.cell_seconds) for b in begins), default=0.0)


def mark_now(cells: list[Cell], at: int, glyphs: Glyphs) -> None:
    """Mark the cell of now, if it is in sight."""
    if 0 <= at < len(cells):
        cells[at] = Cell(glyphs.gantt["now"], "key")


def _spells_by_cell(spells: Iterable[Spell], window: Window, now: float) -> list[Spell | None]:
    """Return what each cell shows: what takes most of it, by its weight."""
    shown: list[Spell | None] = [None] * window.cells
    shares = [0.0] * window.cells
    for spell in spells:
        end = now if spell.end is None else spell.end
        first = max(window.cell_of(spell.begin), 0)
        for index in range(first, min(window.cell_of(end) + 1, window.cells)):
            cell_begin = window.begin + index * window.cell_seconds
            part = min(end, cell_begin + window.cell_seconds) - max(spell.begin, cell_begin)
            share = part * _WEIGHT[spell.sort]
            is_moment = spell.sort == "merge"  # it may take no time, and is to be seen
            if is_moment or share > shares[index]:
                shown[index], shares[index] = spell, share
    return shown


def _sign_of(shown: Sequence[Spell | None], index: int, glyphs: Glyphs) -> Cell:
    spell, signs = shown[index], glyphs.gantt
    if spell is None:
        return Cell(" ", "text")
    match spell.sort:
        case "merge":
            return Cell(signs["merge"], "accent")
        case "work":
            return Cell(signs["work"], "muted")
        case "wait":
            is_first = index == 0 or shown[index - 1] is not spell
            sign = WAIT_LETTERS[spell.kind] if is_first else signs["wait"]
            style = "state.stalled" if spell.kind in _WITHIN_A_RUN else "state.waiting"
            return Cell(sign, style)
        case "ran":
            outcome = {None: "running", True: "succeeded", False: "failed"}[spell.is_good]
            return Cell(signs["again" if spell.attempt > 1 else "ran"], f"state.{outcome}")


_WITHIN_A_RUN = frozenset({"lock", "resource", "point", "disk", "operator"})
"""Waits that somebody else can end: they deserve a look."""


def _as_line(cells: Iterable[Cell]) -> Line:
    spans = groupby(cells, key=lambda cell: cell.style)
    return tuple(Span("".join(c.sign for c in group), style) for style, group in spans)
