"""The streams table: one row a stream, columns that give way on narrow terminals."""

from __future__ import annotations

from collections.abc import Mapping

from textual.events import Click
from textual.message import Message
from textual.strip import Strip

from anabranch.core.ids import StreamId
from anabranch_console.lines import Line, Span, fit
from anabranch_console.presenters.columns import COLUMNS, Column, layout
from anabranch_console.presenters.stream_row import StreamRow
from anabranch_console.stream_list import StreamList
from anabranch_console.widgets.line_view import LineView

MANY_DIRTY_SHARE = 0.6
_MARGIN = 2


class StreamsTable(LineView):
    """Draws the rows of a :class:`StreamList`; the cursor stays with its stream."""

    fixed_lines = 1

    class CursorMoved(Message):
        """Another stream is chosen."""

    class SortAsked(Message):
        """A column's title was clicked."""

        def __init__(self, column: str) -> None:
            super().__init__()
            self.column = column

    class Opened(Message):
        """The chosen stream was clicked once more."""

    class Scrolled(Message):
        """Other rows are visible."""

    def __init__(self, listed: StreamList, rows: Mapping[StreamId, StreamRow]) -> None:
        super().__init__(id="streams", classes="panel")
        self.listed = listed
        self.rows = rows
        self._strips: dict[StreamId, tuple[StreamRow, bool, bool, Strip]] = {}
        self._columns: list[tuple[Column, int]] = []
        self.extra_columns: tuple[Column, ...] = ()

    @property
    def line_count(self) -> int:
        return len(self.listed.order)

    # --- painting --------------------------------------------------------------------------------

    def forget_strips(self) -> None:
        self._strips.clear()
        self._columns = []

    @property
    def columns(self) -> list[tuple[Column, int]]:
        """The columns that fit, with their widths."""
        if not self._columns:
            longest = max((len(stream) for stream in self.rows), default=8)
            width = self.content_size.width - _MARGIN
            columns = (*COLUMNS[:-1], *self.extra_columns, COLUMNS[-1])
            self._columns = layout(width, longest + 1, columns)
        return self._columns

    def fixed_strip(self, y: int) -> Strip:
        spans: list[Span] = [Span(" " * _MARGIN)]
        glyphs = self.looks.glyphs
        for column, width in self.columns:
            is_sorted = column.id == self.listed.sort
            arrow = glyphs.descending if self.listed.is_reversed else glyphs.ascending
            title = f"{column.title}{arrow}" if is_sorted else column.title
            spans.append(Span(fit(title, width, column.align), "key" if is_sorted else "muted"))
            spans.append(Span(" "))
        return self.paint(tuple(spans[:-1]), self.content_size.width)

    def strip_at(self, index: int) -> Strip:
        stream = self.listed.order[index]
        row = self.rows[stream]
        is_cursor = stream == self.listed.cursor
        is_marked = stream in self.listed.marked
        known = self._strips.get(stream)
        if known and known[0] is row and known[1] == is_cursor and known[2] == is_marked:
            return known[3]
        background = "cursor" if is_cursor else self.background_name
        strip = self.paint(self._line(row), self.content_size.width, background)
        self._strips[stream] = (row, is_cursor, is_marked, strip)
        return strip

    def _line(self, row: StreamRow) -> Line:
        glyphs = self.looks.glyphs
        cursor = glyphs.cursor if row.id == self.listed.cursor else " "
        mark = glyphs.mark if row.id in self.listed.marked else " "
        spans = [Span(cursor, "key"), Span(mark, "badge.warning")]
        for column, width in self.columns:
            text, style = column.show(row, glyphs)
            spans.append(Span(fit(text, width, column.align), style))
            spans.append(Span(" "))
        return tuple(spans[:-1])

    # --- what changed ----------------------------------------------------------------------------

    def rows_changed(self, streams: set[StreamId]) -> None:
        """Paint the visible ones of these rows again."""
        first, last = self.top, self.top + self.visible_lines
        if len(streams) < last - first:
            found = (self.listed.position_of(stream) for stream in streams)
            dirty = [i for i in found if i is not None and first <= i < last]
        else:
            visible = enumerate(self.listed.order[first:last], first)
            dirty = [index for index, stream in visible if stream in streams]
        if len(dirty) > MANY_DIRTY_SHARE * self.visible_lines:
            self.refresh()
            return
        for index in dirty:
            self.refresh_index(index)

    def order_changed(self) -> None:
        """Show the new order, with the cursor in sight."""
        self.keep_cursor_in_sight()
        self.refresh()
        self.on_scrolled()

    def on_scrolled(self) -> None:
        self.post_message(self.Scrolled())

    # --- the cursor ------------------------------------------------------------------------------

    def move(self, verb: str) -> None:
        page = max(self.visible_lines - 1, 1)
        steps = {"down": 1, "up": -1, "page-down": page, "page-up": -page}
        at = self.listed.cursor_index
        ends = {"first": 0, "last": self.line_count - 1}
        self.put_cursor(at + steps[verb] if verb in steps else ends[verb])

    def put_cursor(self, index: int) -> None:
        """Choose the stream in a row."""
        before, stream = self.listed.cursor_index, self.listed.cursor
        self.listed.move_to(index)
        if self.listed.cursor == stream:
            return
        self.refresh_index(before)
        self.refresh_index(self.listed.cursor_index)
        self.keep_cursor_in_sight()
        self.post_message(self.CursorMoved())

    def keep_cursor_in_sight(self) -> None:
        """Scroll as little as needed to see the cursor."""
        at = self.listed.cursor_index
        if at < self.top:
            self.scroll_to_line(at)
        elif at >= self.top + self.visible_lines:
            self.scroll_to_line(at - self.visible_lines + 1)
        else:
            self.scroll_lines(0)

    def on_resize(self, event: object) -> None:
        self.forget_strips()
        self.keep_cursor_in_sight()
        self.on_scrolled()

    def on_click(self, event: Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y < self.fixed_lines:
            self._click_title(offset.x - _MARGIN)
            return
        index = self.top + offset.y - self.fixed_lines
        if index >= self.line_count:
            return
        was_chosen = index == self.listed.cursor_index
        self.put_cursor(index)
        if was_chosen and event.chain == 2:
            self.post_message(self.Opened())

    def _click_title(self, x: int) -> None:
        for column, width in self.columns:
            if 0 <= x < width:
                self.post_message(self.SortAsked(column.id))
                return
            x -= width + 1
