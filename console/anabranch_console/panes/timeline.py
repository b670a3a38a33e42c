"""The timeline: what each stream did when, what it waited for, and what is expected of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.core.plans.forecast import Expected
from anabranch.core.views.density import Density
from anabranch.core.views.outlook import outlook
from anabranch.core.views.spells import Spells
from anabranch.paths import RunFolder
from anabranch_console.lines import Line, Span
from anabranch_console.panes.grid_pane import GridPane
from anabranch_console.panes.pane import MenuItem
from anabranch_console.presenters.grid_columns import Column
from anabranch_console.presenters.timeline_cells import (
    density_line,
    most_at_a_time,
    stream_line,
)
from anabranch_console.presenters.timeline_lines import legend, letters, stream_times
from anabranch_console.presenters.timeline_window import WHOLE, Window, axis, cell_words
from anabranch_console.presenters.wording import safe
from anabranch_console.run_model import RunModel
from anabranch_console.steering import Steering
from anabranch_console.verbs import Verb

_MOST_LINES_KEPT = 400
_ROOM_FOR_PLACE = 22
"""What the border says beside the legend: which rows are in sight."""


class TimelineRow(NamedTuple):
    """A stream, or the handlers of one."""

    stream: StreamId
    of_handlers: bool = False


class TimelinePane(GridPane[TimelineRow]):
    """One row a stream, in the order of the plan; its handlers stand below it."""

    name_of = where = of_pane = "timeline"
    title = "Timeline"
    full_title = "Timeline: what ran, waited and is planned"
    aliases = ("gantt",)
    way = "W"
    when_empty = "there are no streams"

    def __init__(self, model: RunModel, steering: Steering) -> None:
        columns = (
            Column("STREAM", _name_cells, 90, self._stream_name, is_path=True),
            Column(self._axis, 0, 100, self._bar, id="time"),
        )
        super().__init__(model, steering, columns, lambda row: row)
        self._sight = WHOLE
        self._window = Window(0.0, 1.0, 1)
        self._rows: tuple[TimelineRow, ...] = ()
        self._plan: tuple[State | None, int, Mapping[StreamId, Expected]] = (None, -1, {})
        self._lines: dict[TimelineRow, tuple[object, Line]] = {}

    # --- what there is ---------------------------------------------------------------------------

    @property
    def _now(self) -> float:
        state = self.model.state
        return state.ended_at if state.ended_at is not None else self.model.now

    @property
    def _end(self) -> float:
        """When all is expected to be over."""
        return max((each.end for each in self._plan[2].values()), default=self._now)

    def arrived(self) -> None:
        """Read what happened before the console looked, if that is not known."""
        if self.model.spells.has_gap:
            folder = RunFolder(self.model.source.folder)
            self.steering.in_thread(
                lambda: read_spells(folder), self._take, "timeline", exclusive=True
            )

    def _take(self, spells: Spells) -> None:
        self.model.take_spells(spells)
        self._lines.clear()
        if self.is_in_sight:
            self.update()

    def before_update(self) -> None:
        state, second = self.model.state, int(self.model.now)
        if self._plan[0] is not state or self._plan[1] != second:
            self._plan = (state, second, _expected(state, self._now))
        self._see()

    def _see(self) -> None:
        cells = next((width for column, width in self.grid.fitting if column.id == "time"), 1)
        end = max(self._now, self._end, 1.0)
        self._window = self._sight.window(self._now, end, cells)

    def source_of_rows(self) -> object:
        densities = self.model.spells.densities
        rows: list[TimelineRow] = []
        for plan in self.model.state.plan.streams:
            rows.append(TimelineRow(plan.id))
            if plan.id in densities:
                rows.append(TimelineRow(plan.id, True))
        if len(rows) != len(self._rows):
            self._rows = tuple(rows)
        return self._rows

    def all_rows(self) -> Sequence[TimelineRow]:
        return self._rows

    def text_of(self, row: TimelineRow) -> str:
        return f"{row.stream} {self._state_of(row.stream)}"

    def _state_of(self, stream: StreamId) -> str:
        known = self.model.rows.get(stream)
        return known.state if known is not None else "waiting"

    # --- what is seen ----------------------------------------------------------------------------

    def _axis(self, cells: int) -> str:
        return axis(self._window)

    def _stream_name(self, row: TimelineRow) -> Line:
        if row.of_handlers:
            return (Span(f"  {self.glyphs.last_branch} handlers", "muted"),)
        state = self._state_of(row.stream)
        sign = Span(f"{self.glyphs.state(state)} ", f"state.{state}")
        return (sign, Span(safe(row.stream), "text"))

    def _bar(self, row: TimelineRow) -> Line:
        """Return the bar of a row, made anew only if something in it has moved on by a cell."""
        spells, window, now = self.model.spells, self._window, self._now
        plan = self._plan[2].get(row.stream)
        spans = (window.cell_of(plan.start), window.cell_of(plan.end)) if plan else None
        now_cell = window.cell_of(now)
        version = spells.versions.get(row.stream), _count(spells.densities.get(row.stream))
        looks = (self.model.time.past is None, self.glyphs.is_ascii)
        made_of = (window, now_cell, version, spans, looks, self.model.state.has_ended)
        known = self._lines.get(row)
        if known is not None and known[0] == made_of:
            return known[1]
        line = self._made(row, plan)
        if len(self._lines) > _MOST_LINES_KEPT:
            self._lines.clear()
        self._lines[row] = (made_of, line)
        return line

    def _made(self, row: TimelineRow, plan: Expected | None) -> Line:
        spells, window, now, glyphs = self.model.spells, self._window, self._now, self.glyphs
        marks_now = not self.model.state.has_ended
        density = spells.densities.get(row.stream)
        if row.of_handlers and density is not None:
            most = most_at_a_time(density, window)
            return density_line(density, most, window, now, glyphs, marks_now=marks_now)
        found = spells.of(row.stream)
        return stream_line(found, window, now, glyphs, plan=plan, marks_now=marks_now)

    def standing(self) -> Line:
        dot = f" {self.glyphs.separator} "
        return (Span(f"{dot}a cell is {cell_words(self._window.cell_seconds)}", "muted"),)

    def marks(self) -> str:
        return legend(self.glyphs, self.grid.size.width - _ROOM_FOR_PLACE)

    def detail_title(self, row: TimelineRow | None) -> Line:
        return (Span(f"Times of {safe(row.stream)}" if row else "Times", "title"),)

    def detail_lines(self, row: TimelineRow | None, cells: int) -> list[Line]:
        stream = self.model.state.streams.get(row.stream) if row else None
        if row is None or stream is None:
            return [(Span("no stream is chosen", "muted"),)]
        spells = self.model.spells
        times = stream_times(
            self.model.state,
            stream,
            spells.of(row.stream),
            self._plan[2].get(row.stream),
            spells.densities.get(row.stream),
            self._now,
            cells,
        )
        return [*times, (), *letters(cells)]

    # --- verbs -----------------------------------------------------------------------------------

    def chosen_streams(self) -> list[StreamId]:
        return [self.chosen.stream] if self.chosen else []

    def menu(self) -> list[MenuItem]:
        return self.menu_of_stream(self.chosen.stream if self.chosen else None)

    def zoom(self, steps: int) -> None:
        """Show less time with 1, more with -1."""
        self._sight = self._sight.zoomed(self._window, self._now, steps)
        self.update()

    def pan(self, way: int) -> None:
        """Go a quarter of what is in sight later with 1, earlier with -1."""
        self._sight = self._sight.moved(self._window, max(self._now, self._end), way)
        self.update()

    def whole(self) -> None:
        """Show all of the run again."""
        self._sight = WHOLE
        self.update()

    def step_back(self) -> bool:
        if self._sight == WHOLE:
            return False
        self.whole()
        return True

    verbs = (
        Verb(
            "zoom-in", "Less time, in more detail", ("plus",),
            lambda self, _: self.zoom(1), footer="Zoom in",
        ),
        Verb(
            "zoom-out", "More time", ("minus",), lambda self, _: self.zoom(-1), footer="Zoom out"
        ),
        Verb("earlier", "Earlier", ("h", "left"), lambda self, _: self.pan(-1), footer="Earlier"),
        Verb("later", "Later", ("l", "right"), lambda self, _: self.pan(1), footer="Later"),
        Verb("fit", "All in sight", ("equals_sign",), lambda self, _: self.whole(), footer="All"),
    )  # fmt: skip


def _expected(state: State, now: float) -> Mapping[StreamId, Expected]:
    """Return when streams are expected to run."""
    found = outlook(state, now)
    return found.streams if found is not None else {}


def _name_cells(cells: int) -> int:
    """Return how wide the names are, of all cells."""
    return max(10, min(26, cells // 4))


def _count(density: Density | None) -> int:
    return density.count if density is not None else 0


def read_spells(folder: RunFolder) -> Spells:
    """Return what the streams of a run did when, from its whole journal."""
    from anabranch.engine.runs import records_of  # SQLite is only loaded if it is needed

    spells = Spells()
    for record in records_of(folder):
        spells.take(record)
    return spells
