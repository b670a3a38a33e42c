"""When each stream ran and waited, as a column of a table that has room for it."""

from __future__ import annotations

from collections.abc import Callable

from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.core.views.spells import Spells
from anabranch_console.glyphs import Glyphs
from anabranch_console.lines import Line
from anabranch_console.presenters.grid_columns import Column
from anabranch_console.presenters.stream_row import StreamRow
from anabranch_console.presenters.timeline_cells import stream_line
from anabranch_console.presenters.timeline_window import WHOLE

WHEN = "when"
_MOST_CELLS = 60
_LEFT_FOR_OTHERS = 30
_MOST_LINES_KEPT = 400


class TimeColumn:
    """Draws the lines, each anew only when something in it has moved on by a cell.

    Args:
        spells: returns what streams did when, with the state and the time (run seconds) that is
            shown.
        cells: returns how wide the column is.
        glyphs: the signs of the app.
    """

    def __init__(
        self,
        spells: Callable[[], tuple[Spells, State, float]],
        cells: Callable[[], int],
        glyphs: Callable[[], Glyphs],
    ) -> None:
        self._spells, self._cells, self._glyphs = spells, cells, glyphs
        self._lines: dict[StreamId, tuple[object, Line]] = {}

    def column(self) -> Column[StreamRow]:
        """Return the column; it comes in only where the others have room."""
        return Column("WHEN", _width, 15, self.show, id=WHEN, spares=_LEFT_FOR_OTHERS)

    def show(self, row: StreamRow) -> Line:
        """Return the line of a stream, from the run's begin until now."""
        (spells, state, now), cells, glyphs = self._spells(), self._cells(), self._glyphs()
        now = now if state.ended_at is None else min(now, state.ended_at)
        window = WHOLE.window(now, max(now, 1.0), cells)
        made_of = (window, window.cell_of(now), spells.versions.get(row.id), glyphs.is_ascii)
        known = self._lines.get(row.id)
        if known is None or known[0] != made_of:
            if len(self._lines) > _MOST_LINES_KEPT:
                self._lines.clear()
            line = stream_line(spells.of(row.id), window, now, glyphs, marks_now=False)
            known = self._lines[row.id] = (made_of, line)
        return known[1]


def _width(cells: int) -> int:
    return min(cells // 5, _MOST_CELLS)
