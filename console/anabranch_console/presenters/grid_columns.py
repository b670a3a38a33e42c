"""The columns of a grid: how they show a row, how wide, and which give way first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from anabranch_console.lines import Align, Line, Span

Row = TypeVar("Row")
_MOST_OF_FLEXIBLE = 14
_LEAST_OF_FLEXIBLE = 8


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One column. Those of higher priority stay longer; width 0 takes what is left.

    ``width`` may be a function of all the cells there are, ``title`` one of the column's own.
    ``is_path`` cuts what is too long at its beginning. A column with a ``sort_key`` can be sorted
    by, and is named by ``id`` then.
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


def layout(columns: Sequence[Column[Row]], cells: int) -> list[tuple[Column[Row], int]]:
    """Return the columns that fit into ``cells`` and their widths, in their order.

    They come in by priority, while what takes the rest keeps enough room to say something.
    """
    widths = [c.width(cells) if callable(c.width) else c.width for c in columns]
    flexible = min(_MOST_OF_FLEXIBLE, max(cells // 3, _LEAST_OF_FLEXIBLE), max(cells, 1))
    chosen: set[int] = set()
    used = 0
    for at in sorted(range(len(columns)), key=lambda at: -columns[at].priority):
        needed = (widths[at] or flexible) + bool(chosen)
        if used + needed <= cells:
            used += needed
            chosen.add(at)
    left = cells - sum(widths[at] for at in chosen) - max(len(chosen) - 1, 0)
    return [(columns[at], widths[at] or max(left, 0)) for at in sorted(chosen)]
