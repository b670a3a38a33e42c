"""A table of anything: rows are values, columns say how to show them, only visible rows are shown.

Handing over new rows costs nothing by itself: each visible row is formatted and compared with what
is on the screen, and painted if it differs. The cursor belongs to a row's key, not to its place.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Generic, TypeVar

from textual.events import Click, Resize
from textual.geometry import Region
from textual.message import Message
from textual.strip import Strip

from anabranch_console.lines import Line, Span, cut_left, fit, line_cells, plain
from anabranch_console.presenters.grid_columns import Column, layout
from anabranch_console.widgets.line_view import LineView

Row = TypeVar("Row")
_MARGIN = 2
MANY_DIRTY_SHARE = 0.6
"""When more of what is visible looks different, painting all at once is cheaper."""


class Grid(LineView, Generic[Row]):
    """Draws rows with a cursor.

    Args:
        columns: what there is to show of a row.
        key: what a row is known by.
    """

    fixed_lines = 1

    class CursorMoved(Message):
        """Another row is chosen."""

    class Opened(Message):
        """The chosen row was clicked once more."""

    class SortAsked(Message):
        """The title of a column that can be sorted by was clicked."""

        def __init__(self, column: str) -> None:
            super().__init__()
            self.column = column

    class Changed(Message):
        """Other rows are visible, or their widths have changed."""

    def __init__(
        self,
        columns: Sequence[Column[Row]],
        key: Callable[[Row], Hashable],
        *,
        id: str,
    ) -> None:
        super().__init__(id=id, classes="panel rows")
        self.columns = columns
        self.key = key
        self.rows: Sequence[Row] = ()
        self.cursor: Hashable | None = None
        self.cursor_index = 0
        self.sign_of: Callable[[Row], str] = lambda row: " "
        self.sorted_by: Callable[[], tuple[str, bool]] = lambda: ("", False)
        self._painted: dict[int, tuple[Line, bool, Strip]] = {}
        self._fitting: list[tuple[Column[Row], int]] = []
        self._titled: Line = ()

    # --- rows ------------------------------------------------------------------------------------

    @property
    def line_count(self) -> int:
        return len(self.rows)

    @property
    def chosen(self) -> Row | None:
        """The row under the cursor."""
        return self.rows[self.cursor_index] if self.cursor_index < len(self.rows) else None

    def show(self, rows: Sequence[Row], likely: int | None = None) -> None:
        """Show other rows, or the same ones with other facts.

        ``likely`` is where the row under the cursor stands now, if somebody has looked before.
        """
        before, self.rows = len(self.rows), rows
        self._place_cursor(likely)
        if self.top > self.last_top:
            self.top = self.last_top
        if before != len(rows):
            self._fit_again()
            self.post_message(self.Changed())
        self.compare()

    def _fit_again(self) -> None:
        """Forget what was painted if columns have other widths now, as there are other rows."""
        before, self._fitting = self._fitting, []
        if self.fitting != before:
            self._painted.clear()
            self.refresh()

    def compare(self) -> None:
        """Paint the titles and the visible rows that do not look as they did."""
        if self._titled and self._titled != self._title_line():
            self.refresh(Region(0, 0, self.content_size.width, 1))
        visible = range(self.top, self.top + self.visible_lines)
        dirty = [index for index in visible if self._looks_different(index)]
        for index in dirty:
            self._painted.pop(index, None)
        if len(dirty) > MANY_DIRTY_SHARE * self.visible_lines:
            self.refresh()
            return
        for index in dirty:
            self.refresh_index(index)

    def _looks_different(self, index: int) -> bool:
        painted = self._painted.get(index)
        if index >= len(self.rows):
            return painted is not None
        return painted is None or painted[:2] != (self._line(index), self._is_cursor(index))

    def _place_cursor(self, likely: int | None) -> None:
        rows, at = self.rows, self.cursor_index
        if self._has_cursor(at):
            return
        found = likely if self._has_cursor(likely) else None
        if found is None and self.cursor is not None:
            found = self.index_of(self.cursor)
        if found is None:
            found = min(at, max(len(rows) - 1, 0))
        elif self.top:  # what is above has grown or shrunk: the eye stays where it was
            self.top = max(0, min(self.top + found - at, self.last_top))
        self.cursor_index = found
        self.cursor = self.key(rows[found]) if rows else None
        self.keep_cursor_in_sight()

    def _has_cursor(self, index: int | None) -> bool:
        """Return whether the row at an index is the one that the cursor is on."""
        if self.cursor is None or index is None or index >= len(self.rows):
            return False
        return self.key(self.rows[index]) == self.cursor

    def index_of(self, key: Hashable) -> int | None:
        """Return where the row with a key stands."""
        return next((i for i, row in enumerate(self.rows) if self.key(row) == key), None)

    def put_cursor(self, index: int) -> None:
        """Choose a row, the nearest one there is."""
        index = max(0, min(index, len(self.rows) - 1))
        if not self.rows or index == self.cursor_index:
            return
        before, self.cursor_index = self.cursor_index, index
        self.cursor = self.key(self.rows[index])
        self.refresh_index(before)
        self.refresh_index(index)
        self.keep_cursor_in_sight()
        self.post_message(self.CursorMoved())

    def keep_cursor_in_sight(self) -> None:
        """Scroll as little as shows the cursor."""
        at = self.cursor_index
        if at < self.top:
            self.scroll_to_line(at)
        elif at >= self.top + self.visible_lines:
            self.scroll_to_line(at - self.visible_lines + 1)

    def move(self, verb: str) -> None:
        page = max(self.visible_lines - 1, 1)
        steps = {"down": 1, "up": -1, "page-down": page, "page-up": -page}
        ends = {"first": 0, "last": len(self.rows) - 1}
        self.put_cursor(self.cursor_index + steps[verb] if verb in steps else ends[verb])

    # --- painting --------------------------------------------------------------------------------

    def forget_strips(self) -> None:
        self._painted.clear()
        self._fitting = []

    @property
    def fitting(self) -> list[tuple[Column[Row], int]]:
        """The columns that fit, with their widths."""
        if not self._fitting:
            self._fitting = layout(self.columns, self.content_size.width - _MARGIN)
        return self._fitting

    def fixed_strip(self, y: int) -> Strip:
        self._titled = self._title_line()
        return self.paint(self._titled, self.content_size.width)

    def _title_line(self) -> Line:
        titles = [self._title(column, width) for column, width in self.fitting]
        return (Span(" " * _MARGIN), *_spaced(titles))

    def _title(self, column: Column[Row], width: int) -> Span:
        by, is_reversed = self.sorted_by()
        title = column.title(width) if callable(column.title) else column.title
        if not by or column.id != by:
            return Span(fit(title, width, column.align), "muted")
        glyphs = self.looks.glyphs
        arrow = glyphs.descending if is_reversed else glyphs.ascending
        return Span(fit(f"{title}{arrow}", width, column.align), "key")

    def strip_at(self, index: int) -> Strip:
        line, is_cursor = self._line(index), self._is_cursor(index)
        painted = self._painted.get(index)
        if painted and painted[:2] == (line, is_cursor):
            return painted[2]
        background = "cursor" if is_cursor else self.background_name
        strip = self.paint(line, self.content_size.width, background)
        if len(self._painted) > 4 * self.visible_lines:
            self._painted.clear()
        self._painted[index] = (line, is_cursor, strip)
        return strip

    def text_at(self, index: int) -> str:
        return plain(self._line(index)).rstrip()

    def _is_cursor(self, index: int) -> bool:
        return index == self.cursor_index

    def _line(self, index: int) -> Line:
        row = self.rows[index]
        cursor = self.looks.glyphs.cursor if self._is_cursor(index) else " "
        cells = [_cell(column, column.show(row), width) for column, width in self.fitting]
        spans: list[Span] = [Span(cursor, "key"), Span(self.sign_of(row), "badge.warning")]
        for cell in cells:
            spans += [*cell, Span(" ")]
        return tuple(spans[:-1])

    # --- what happens to it ----------------------------------------------------------------------

    def on_scrolled(self) -> None:
        self.post_message(self.Changed())

    def on_resize(self, event: Resize) -> None:
        self.forget_strips()
        self.refresh()
        self.top = min(self.top, self.last_top)
        self.keep_cursor_in_sight()
        self.post_message(self.Changed())

    def on_click(self, event: Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y < self.fixed_lines:
            self._click_title(offset.x - _MARGIN)
            return
        index = self.top + offset.y - self.fixed_lines
        if index >= len(self.rows):
            return
        was_chosen = index == self.cursor_index
        self.put_cursor(index)
        if was_chosen and event.chain == 2:
            self.post_message(self.Opened())

    def _click_title(self, x: int) -> None:
        for column, width in self.fitting:
            if 0 <= x < width and column.sort_key is not None:
                self.post_message(self.SortAsked(column.id))
            x -= width + 1


def _cell(column: Column[Row], shown: Span | Line, width: int) -> Line:
    if isinstance(shown, Span):
        text = cut_left(shown.text, width) if column.is_path else shown.text
        return (Span(fit(text, width, column.align), shown.style),)
    spans: list[Span] = []
    left = width
    for span in shown:
        text = fit(span.text, min(left, line_cells((span,))))
        spans.append(Span(text, span.style))
        left -= line_cells((spans[-1],))
    return (*spans, Span(" " * left))


def _spaced(spans: Sequence[Span]) -> Line:
    line: list[Span] = []
    for span in spans:
        line += [span, Span(" ")]
    return tuple(line[:-1])
