"""The conflicts: what waits for a decision, what is foreseen, and both sides of each."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from textual import on
from textual.message import Message

from anabranch.errors import AnabranchError
from anabranch_console.lines import Line, Span, wrap
from anabranch_console.panes.pane import MenuItem, Pane
from anabranch_console.presenters.conflict_lines import (
    ConflictRow,
    conflict_columns,
    conflict_detail,
    conflict_rows,
    conflict_text,
    decision_detail,
)
from anabranch_console.presenters.wording import listing, safe
from anabranch_console.run_model import RunModel
from anabranch_console.verbs import Scope

if TYPE_CHECKING:
    from anabranch.engine.settling import SideTexts

TEXTS_KEPT = 40
FORESEEN_TEXTS_SECONDS = 5.0


class ConflictsPane(Pane[ConflictRow]):
    """One row a conflicted path; beside it both sides, read from git in a thread."""

    name_of = "conflicts"
    title = "Conflicts"
    scope = Scope.CONFLICTS
    told_when_empty = "nothing is in conflict, as far as anybody knows"

    class Read(Message):
        """Both sides of a row were read, or why they cannot be."""

        def __init__(self, key: object, texts: SideTexts | str) -> None:
            super().__init__()
            self.key, self.texts = key, texts

    def __init__(self, model: RunModel) -> None:
        super().__init__(model, conflict_columns(lambda: self.glyphs), lambda row: row.key)
        self._texts: OrderedDict[object, tuple[float, SideTexts | str | None]] = OrderedDict()
        self._drawn: tuple[object, object, int, list[Line]] | None = None

    def source_of_rows(self) -> object:
        return None  # the points, the streams and the decisions all have a part in it

    def all_rows(self) -> Sequence[ConflictRow]:
        return conflict_rows(self.model.state, self.model.decisions)

    def text_of(self, row: ConflictRow) -> str:
        return conflict_text(row)

    def standing(self) -> Line:
        dot = f" {self.glyphs.separator} "
        waiting = sum(row.waits and row.resolution is None for row in self._all)
        foreseen = sum(row.is_foreseen for row in self._all)
        settled = sum(row.decided is not None for row in self._all)
        told = [
            (waiting, "to decide", "level.error"),
            (foreseen, "foreseen", "level.warning"),
            (settled, "settled", "muted"),
        ]
        return tuple(Span(f"{dot}{number} {word}", style) for number, word, style in told if number)

    def detail_title(self, row: ConflictRow | None) -> Line:
        is_settled = row is not None and row.decided is not None
        return (Span("What was decided" if is_settled else "Both sides", "title"),)

    def detail_lines(self, row: ConflictRow | None, cells: int) -> list[Line]:
        if row is None:
            told = "streams that run are test-merged all along; what would not merge is shown here"
            return [(Span(piece, "muted"),) for piece in wrap(told, cells)]
        if row.decided is not None:
            return decision_detail(row, self.model.state.started_wall, cells)
        texts = self._texts_of(row)
        known = self._drawn
        if known and known[0] == row and known[1] is texts and known[2] == cells:
            return known[3]
        lines = conflict_detail(row, texts, cells, self.glyphs)
        self._drawn = (row, texts, cells, lines)
        return lines

    def menu(self) -> list[MenuItem]:
        row = self.chosen
        path = safe(row.path.path) if row else ""
        return [
            MenuItem("take-ours", "o", detail=safe(row.ours) if row else ""),
            MenuItem("take-theirs", "t", detail=safe(row.theirs) if row else ""),
            MenuItem("take-both", "b", detail=path),
            MenuItem("edit", "e", detail=path),
            MenuItem(
                "hand-back", "h", detail=listing([str(s) for s in row.streams]) if row else ""
            ),
            MenuItem("settle", "r", detail="with the markers in a workspace of its own"),
            MenuItem(
                "tell-both", "m", detail=listing([str(s) for s in row.streams]) if row else ""
            ),
        ]

    def go_to_next(self) -> None:
        """Choose the next path that waits for a decision, after the chosen one if there is one."""
        rows, here = self.grid.rows, self.grid.cursor_index
        order = [*range(here + 1, len(rows)), *range(here)]
        waiting = [i for i in order if rows[i].waits and rows[i].resolution is None]
        if waiting:
            self.grid.put_cursor(waiting[0])

    # --- both sides ------------------------------------------------------------------------------

    def _texts_of(self, row: ConflictRow) -> SideTexts | str | None:
        """Return both sides if they were read; else have them read. What is foreseen grows old."""
        known = self._texts.get(row.key)
        is_old = known and not row.waits and self.model.now - known[0] > FORESEEN_TEXTS_SECONDS
        if known is None or is_old:
            before = known[1] if known else None
            self._texts[row.key] = (self.model.now, before)
            self._texts.move_to_end(row.key)
            if len(self._texts) > TEXTS_KEPT:
                self._texts.popitem(last=False)
            self.run_worker(partial(self._read, row), thread=True, group="sides")
            return before
        return known[1]

    def _read(self, row: ConflictRow) -> None:
        from anabranch.engine import settling  # it brings what the first picture does not need

        state = self.model.live_state
        texts: SideTexts | str
        try:
            repo = settling.repository_of(state)
            if row.conflict is not None:
                texts = settling.texts_of(repo, state.run, row.conflict, row.path)
            else:
                texts = settling.texts_foreseen(repo, state, row.streams, row.path)
        except AnabranchError as error:
            texts = f"the sides cannot be read: {error.message}"
        self.post_message(self.Read(row.key, texts))

    @on(Read)
    def _show_sides(self, message: Read) -> None:
        known = self._texts.get(message.key)
        if known is not None and known[1] != message.texts:
            self._texts[message.key] = (known[0], message.texts)
            self.paint_detail()
