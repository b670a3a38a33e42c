"""Lines of what was measured over the last minutes: a sign a stretch of time, as high as it was."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from math import floor

from anabranch_console.glyphs import Glyphs
from anabranch_console.lines import Line, Span

SHOWN_SECONDS = 300.0
"""How much of the past a line shows at least."""
_STEPS = (1.0, 2.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0)

Point = tuple[float, float]
"""When something was measured (seconds of some clock), and how much it was."""


def seconds_a_cell(cells: int) -> float:
    """Return how much time a sign stands for, if so many have to show the last minutes."""
    wanted = SHOWN_SECONDS / max(cells, 1)
    return next((step for step in _STEPS if step >= wanted), _STEPS[-1])


def means(
    points: Iterable[Point], end: float, cell_seconds: float, cells: int
) -> list[float | None]:
    """Return the mean of each stretch of time, the last of which ``end`` lies in.

    Stretches begin at multiples of their length, so what is over does not change any more. None is
    a stretch in which nobody has measured.
    """
    last = floor(end / cell_seconds)
    sums, counts = [0.0] * cells, [0] * cells
    for at, value in points:
        cell = floor(at / cell_seconds) - last + cells - 1
        if 0 <= cell < cells:
            sums[cell] += value
            counts[cell] += 1
    return [total / count if count else None for total, count in zip(sums, counts, strict=True)]


def spark_line(
    values: Iterable[float | None], top: float, glyphs: Glyphs, limit: float | None = None
) -> Line:
    """Return values as signs; the highest stands for ``top``, and above ``limit`` they warn."""
    cells = [(_sign(value, top, glyphs), _style(value, limit)) for value in values]
    groups = groupby(cells, key=lambda cell: cell[1])
    return tuple(Span("".join(sign for sign, _ in group), style) for style, group in groups)


def _sign(value: float | None, top: float, glyphs: Glyphs) -> str:
    """Return a sign; nothing is another one than nought."""
    if value is None:
        return glyphs.spark[0]
    highest = len(glyphs.spark) - 1
    level = 1 + round(value / top * (highest - 1)) if top > 0 else 1
    return glyphs.spark[max(1, min(level, highest))]


def _style(value: float | None, limit: float | None) -> str:
    is_too_much = value is not None and limit is not None and value > limit
    return "level.warning" if is_too_much else "accent"
