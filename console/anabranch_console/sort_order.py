"""What a table is sorted by, and which way round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from anabranch_console.presenters.grid_columns import Column

Row = TypeVar("Row")


class SortOrder(Generic[Row]):
    """The order of a table.

    Args:
        columns: what can be sorted by.
        first: the order before anybody has sorted, which is that of a column or one of its own.
    """

    def __init__(self, columns: Sequence[Column[Row]], first: str) -> None:
        self._columns = {column.id: column for column in columns if column.sort_key is not None}
        self.sortable = tuple(dict.fromkeys((first, *self._columns)))
        self.sort = self.first = first
        self.is_reversed = False

    @property
    def is_usual(self) -> bool:
        """Whether it is the order before anybody has sorted."""
        return self.sort == self.first and not self.is_reversed

    def set_sort(self, column: str) -> None:
        """Sort by a column; a second time turns the order round."""
        if column == self.sort and column in self._columns:
            self.is_reversed = not self.is_reversed
        else:
            self._sort_first_by(column)

    def step_sort(self, step: int) -> None:
        """Sort by the column to the left or to the right of the present one."""
        index = self.sortable.index(self.sort)
        self._sort_first_by(self.sortable[(index + step) % len(self.sortable)])

    def _sort_first_by(self, column: str) -> None:
        self.sort = column
        self.is_reversed = column in self._columns and self._columns[column].is_descending_first
