"""The hunks of one changed file, with a cursor: it paints what can be seen, and stays where it is.

However many lines there are, only those in sight are given their colours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.binding import BindingType
from textual.events import Click, Resize
from textual.message import Message
from textual.strip import Strip

from anabranch_console.lines import plain
from anabranch_console.presenters.code_spans import Piece, colours_for
from anabranch_console.presenters.diff_lines import row_line, shown_text
from anabranch_console.presenters.diff_rows import DiffRow, partners, same_place
from anabranch_console.widgets.line_view import LineView

COLOURED_AT_ONCE = 100
SIDE_STEP_CELLS = 16
STRIPS_KEPT = 1_000


class DiffView(LineView):
    """Shows rows that a presenter made."""

    BINDINGS: ClassVar[list[BindingType]] = [
        ("left", "sideways(-1)"),
        ("right", "sideways(1)"),
        ("enter", "note"),
    ]

    own_keys: ClassVar[tuple[str, ...]] = ("enter",)
    """What means something else here than in the pane around it."""

    class NoteAsked(Message):
        """Somebody wants to say something about the line under the cursor."""

    class CursorMoved(Message):
        """Another row is under the cursor."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.rows: Sequence[DiffRow] = ()
        self.cursor = 0
        self._path = ""
        self._left = 0
        self._strips: dict[int, Strip] = {}
        self._pieces: dict[int, list[Piece]] = {}
        self._partners: dict[int, int] | None = None
        self._colours: Callable[[Sequence[str]], list[list[Piece]]] | None = None

    # --- what is shown ---------------------------------------------------------------------------

    def show(self, path: str, rows: Sequence[DiffRow]) -> None:
        """Show the rows of a file; of the one that is shown already, from where one was."""
        before, here = self.rows, self.cursor
        self.rows = rows
        self._strips, self._pieces, self._partners = {}, {}, None
        if path != self._path:
            self._path, self._colours, self._left = path, None, 0
            self.cursor = self.top = 0
        else:
            below_top = here - self.top
            self.cursor = same_place(before, here, rows)
            self.top = max(0, min(self.cursor - below_top, self.last_top))
        self.keep_cursor_in_sight()
        self.refresh()
        self.post_message(self.CursorMoved())

    @property
    def line_count(self) -> int:
        return len(self.rows)

    def text_at(self, index: int) -> str:
        return plain(row_line(self.rows[index], self.looks.glyphs, (), None, self._left))

    def strip_at(self, index: int) -> Strip:
        known = self._strips.get(index)
        if known is not None:
            return known
        row, rows = self.rows[index], self.rows
        if self._partners is None:
            self._partners = partners(rows)
        other = self._partners.get(index)
        partner = shown_text(rows[other]) if other is not None else None
        line = row_line(row, self.looks.glyphs, self._pieces_of(index), partner, self._left)
        ground = "cursor" if index == self.cursor else self.background_name
        strip = self.paint(line, self.content_size.width, ground)
        if len(self._strips) > STRIPS_KEPT:
            self._strips.clear()
        self._strips[index] = strip
        return strip

    def _pieces_of(self, index: int) -> list[Piece]:
        """Return the colours of a row's code, worked out with those of its neighbours."""
        if index not in self._pieces:
            begin = index // COLOURED_AT_ONCE * COLOURED_AT_ONCE
            block = range(begin, min(begin + COLOURED_AT_ONCE, len(self.rows)))
            code = [i for i in block if self.rows[i].kind == "line" and self.rows[i].sign != "-"]
            self._colours = self._colours or colours_for(self._path)
            found = self._colours([shown_text(self.rows[i]) for i in code])
            self._pieces.update({i: [] for i in block})
            self._pieces.update(zip(code, found, strict=True))
        return self._pieces[index]

    def forget_strips(self) -> None:
        self._strips.clear()

    # --- the cursor ------------------------------------------------------------------------------

    def put_cursor(self, index: int) -> None:
        """Go to a row, the nearest one there is."""
        index = max(0, min(index, len(self.rows) - 1))
        if not self.rows or index == self.cursor:
            return
        before, self.cursor = self.cursor, index
        for changed in (before, index):
            self._strips.pop(changed, None)
            self.refresh_index(changed)
        self.keep_cursor_in_sight()
        self.post_message(self.CursorMoved())

    def keep_cursor_in_sight(self) -> None:
        """Scroll as little as shows the cursor."""
        if self.cursor < self.top:
            self.scroll_to_line(self.cursor)
        elif self.cursor >= self.top + self.visible_lines:
            self.scroll_to_line(self.cursor - self.visible_lines + 1)

    def move(self, verb: str) -> None:
        page = max(self.visible_lines - 1, 1)
        steps = {"down": 1, "up": -1, "page-down": page, "page-up": -page}
        ends = {"first": 0, "last": len(self.rows) - 1}
        self.put_cursor(self.cursor + steps[verb] if verb in steps else ends[verb])

    def action_sideways(self, step: int) -> None:
        """Show what long lines have further right, or left again."""
        seen = self.rows[self.top : self.top + self.visible_lines]
        widest = max((len(row.text) for row in seen), default=0)
        self._left = max(0, min(self._left + step * SIDE_STEP_CELLS, widest))
        self.refresh_everything()

    def action_note(self) -> None:
        """Ask for a note on the line under the cursor."""
        self.post_message(self.NoteAsked())

    def on_click(self, event: Click) -> None:
        offset = event.get_content_offset(self)
        if offset is not None and self.top + offset.y < len(self.rows):
            self.put_cursor(self.top + offset.y)

    def on_resize(self, event: Resize) -> None:
        super().on_resize(event)
        self.keep_cursor_in_sight()
