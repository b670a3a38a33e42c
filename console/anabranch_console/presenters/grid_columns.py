"""The columns of a grid: how they show a row, how wide, and which give way first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from anabranch_console.lines import Align, Line, Span

Row = TypeVar("Row")
_LEAST_FLEXIBLE_CELLS = 14


@dataclass(frozen=True, slots=True)
class GridColumn(Generic[Row]):
    """One column. Those of higher priority stay longer; width 0 takes what is left.

    ``is_path`` cuts what is too long at its beginning.
    """

    title: str
    width: int
    priority: int
    show: Callable[[Row], Span | Line]
    align: Align = "left"
    is_path: bool = False


def chosen_columns(
    columns: Sequence[GridColumn[Row]], cells: int
) -> list[tuple[GridColumn[Row], int]]:
    """Return the columns that fit into ``cells`` and their widths, in their order."""
    chosen: list[GridColumn[Row]] = []
    used = 0
    for column in sorted(columns, key=lambda c: -c.priority):
        width = column.width or min(_LEAST_FLEXIBLE_CELLS, max(cells, 1))
        if used + width + bool(chosen) <= cells:
            used += width + bool(chosen)
            chosen.append(column)
    shown = [c for c in columns if c in chosen]
    left = cells - sum(c.width for c in shown) - max(len(shown) - 1, 0)
    return [(c, c.width or max(left, 0)) for c in shown]
