"""Which streams are shown, in which order, and which of them are marked.

The order is only worked out again when somebody asks, so rows do not jump under the reader's eyes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from anabranch.core.ids import StreamId
from anabranch_console.filtering import RowFilter, compile_filter
from anabranch_console.presenters.stream_columns import StreamColumn
from anabranch_console.presenters.stream_row import StreamRow
from anabranch_console.sort_order import SortOrder

PLAN_ORDER = "plan"


class StreamList(SortOrder[StreamRow]):
    """The order, filter and marks of the streams.

    Args:
        columns: what can be sorted by, beside the order of the plan.
    """

    def __init__(self, columns: Sequence[StreamColumn]) -> None:
        super().__init__(columns, PLAN_ORDER)
        self.order: list[StreamId] = []
        self.total = 0
        self.filter: RowFilter = compile_filter("")
        self.marked: set[StreamId] = set()

    def rearrange(self, rows: Mapping[StreamId, StreamRow]) -> None:
        """Filter and sort anew."""
        shown = [row for row in rows.values() if self.filter.matches(row)]
        shown.sort(key=lambda row: row.position)
        column = self._columns.get(self.sort)
        if column is not None and column.sort_key is not None:
            shown.sort(key=column.sort_key, reverse=self.is_reversed)
        elif self.is_reversed:
            shown.reverse()
        self.order = [row.id for row in shown]
        self.total = len(rows)

    def toggle_mark(self, stream: StreamId) -> None:
        """Mark a stream, or take its mark away."""
        self.marked ^= {stream}

    def targets(self, cursor: StreamId | None) -> list[StreamId]:
        """Return what a verb acts on: the marked streams, else the one under the cursor."""
        if self.marked:
            return list(self._in_order(self.marked))
        return [cursor] if cursor is not None else []

    def _in_order(self, streams: Iterable[StreamId]) -> list[StreamId]:
        position = {stream: index for index, stream in enumerate(self.order)}
        return sorted(streams, key=lambda s: (position.get(s, len(position)), s))
