"""The columns of a grid: how they show a row, how wide, and which give way first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from anabranch_console.lines import Align, Line, Span

Row = TypeVar("Row")
_MOST_OF_FLEXIBLE = 14
_LEAST_OF_FLEXIBLE = 8
_ENOUGH_OF_FLEXIBLE = 30
_ROOMY_CELLS = 70


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One column. Those of higher priority stay longer; width 0 takes what is left.

    ``width`` may be a function of all the cells there are, ``title`` one of the column's own.
    ``is_path`` cuts what is too long at its beginning. A column with a ``sort_key`` can be sorted
    by, and is named by ``id`` then.

    One that ``grows`` gets wider, up to twice as wide, where what takes the rest has enough. One
    that ``spares`` cells for that comes in only where so many are left for it; of what takes the
    rest it says how many it wants before others come in.
    """

    title: str | Callable[[int], str]
    width: int | Callable[[int], int]
    priority: int
    show: Callable[[Row], Span | Line]
    align: Align = "left"
    is_path: bool = False
    id: str = ""
    sort_key: Callable[[Row], Any] | None = None
    is_descending_first: bool = False
    grows: bool = False
    spares: int = 0


def layout(columns: Sequence[Column[Row]], cells: int) -> list[tuple[Column[Row], int]]:
    """Return the columns that fit into ``cells`` and their widths, in their order.

    They come in by priority, while what takes the rest keeps enough room to say something.
    """
    widths = [c.width(cells) if callable(c.width) else c.width for c in columns]
    least = min(_MOST_OF_FLEXIBLE, max(cells // 3, _LEAST_OF_FLEXIBLE), max(cells, 1))
    wanted = max(
        (c.spares for c, width in zip(columns, widths, strict=True) if not width), default=0
    )
    flexible = max(least, min(wanted, cells // 3)) if cells >= _ROOMY_CELLS else least
    chosen: set[int] = set()
    used = 0
    for at in sorted(range(len(columns)), key=lambda at: -columns[at].priority):
        needed = (widths[at] or flexible) + bool(chosen)
        spared = max(columns[at].spares - flexible, 0) if widths[at] else 0
        if used + needed + spared <= cells:
            used += needed
            chosen.add(at)
    left = cells - sum(widths[at] for at in chosen) - max(len(chosen) - 1, 0)
    if any(not widths[at] for at in chosen):
        left -= _grow(widths, [at for at in sorted(chosen) if columns[at].grows], left)
    return [(columns[at], widths[at] or max(left, 0)) for at in sorted(chosen)]


def _grow(widths: list[int], growing: Sequence[int], left: int) -> int:
    """Make columns wider by half of what is left beyond enough; return by how much in all."""
    room, given = max(left - _ENOUGH_OF_FLEXIBLE, 0) // 2, 0
    for index, at in enumerate(growing):
        more = min(widths[at], (room - given) // (len(growing) - index))
        widths[at] += more
        given += more
    return given
