"""Which streams the table shows, in which order, and which of them are marked.

The cursor belongs to a stream, not to a row: when the order changes it stays with its stream. The
order is only worked out again when somebody asks, so rows do not jump under the reader's eyes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from anabranch.core.ids import StreamId
from anabranch_console.filtering import RowFilter, compile_filter
from anabranch_console.presenters.columns import BY_ID, COLUMNS, PLAN_ORDER, sort_key
from anabranch_console.presenters.stream_row import StreamRow

SORTABLE = (PLAN_ORDER, *(column.id for column in COLUMNS))


class StreamList:
    """The order, filter, cursor and marks of the streams table."""

    def __init__(self) -> None:
        self.order: list[StreamId] = []
        self.total = 0
        self.filter: RowFilter = compile_filter("")
        self.sort = PLAN_ORDER
        self.is_reversed = False
        self.marked: set[StreamId] = set()
        self.cursor: StreamId | None = None
        self._position: dict[StreamId, int] = {}

    def rearrange(self, rows: Mapping[StreamId, StreamRow]) -> bool:
        """Filter and sort anew; return whether the order is another one now."""
        shown = [row for row in rows.values() if self.filter.matches(row)]
        shown.sort(key=lambda row: row.position)
        if self.sort != PLAN_ORDER or self.is_reversed:
            shown.sort(key=sort_key(self.sort), reverse=self.is_reversed)
        order = [row.id for row in shown]
        self.total = len(rows)
        if order == self.order and (self.cursor is not None or not order):
            return False
        previous = self.cursor_index
        self.order = order
        self._position = {stream: index for index, stream in enumerate(order)}
        self._place_cursor(previous)
        return True

    @property
    def cursor_index(self) -> int:
        """The row of the cursor, 0 if there is none."""
        return self._position.get(self.cursor, 0) if self.cursor is not None else 0

    def position_of(self, stream: StreamId) -> int | None:
        """Return the row of a stream, None if it is not shown."""
        return self._position.get(stream)

    def move_to(self, index: int) -> None:
        """Put the cursor on a row, the nearest one there is."""
        if self.order:
            self.cursor = self.order[max(0, min(index, len(self.order) - 1))]

    def set_sort(self, column: str) -> None:
        """Sort by a column; a second time turns the order round."""
        if column == self.sort and column != PLAN_ORDER:
            self.is_reversed = not self.is_reversed
            return
        self.sort = column
        self.is_reversed = column in BY_ID and BY_ID[column].is_descending_first

    def step_sort(self, step: int) -> None:
        """Sort by the column to the left or to the right of the present one."""
        index = SORTABLE.index(self.sort)
        column = SORTABLE[(index + step) % len(SORTABLE)]
        self.sort = column
        self.is_reversed = column in BY_ID and BY_ID[column].is_descending_first

    def toggle_mark(self) -> None:
        """Mark the stream under the cursor, or take its mark away."""
        if self.cursor is not None:
            self.marked ^= {self.cursor}

    def targets(self) -> list[StreamId]:
        """Return what a verb acts on: the marked streams, else the one under the cursor."""
        if self.marked:
            return list(self._in_order(self.marked))
        return [self.cursor] if self.cursor is not None else []

    def _in_order(self, streams: Iterable[StreamId]) -> list[StreamId]:
        return sorted(streams, key=lambda s: (self._position.get(s, len(self.order)), s))

    def _place_cursor(self, previous: int) -> None:
        if self.cursor in self._position:
            return
        self.cursor = self.order[min(previous, len(self.order) - 1)] if self.order else None
