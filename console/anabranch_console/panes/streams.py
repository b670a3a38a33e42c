"""The streams, the home of the console: their table, and the panel about the chosen one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from textual import on
from textual.app import ComposeResult

from anabranch.core.ids import StreamId
from anabranch.core.model.state import Stream
from anabranch_console.filtering import compile_filter
from anabranch_console.lines import Span
from anabranch_console.panes.pane import MenuItem, Pane
from anabranch_console.panes.stream_details import StreamDetails
from anabranch_console.plugged import Plugged
from anabranch_console.presenters.columns import PLAN_ORDER, plugin_columns
from anabranch_console.run_model import Changes, RunModel
from anabranch_console.screens.dialogs import Choice
from anabranch_console.steering import Steering
from anabranch_console.stream_list import SORTABLE, StreamList
from anabranch_console.verbs import Verb
from anabranch_console.widgets.line_view import LineView, TextLines
from anabranch_console.widgets.streams_table import StreamsTable

HOME = "streams"


class StreamsPane(Pane):
    """One row a stream, in the order and by the filter of whoever looks."""

    name_of = HOME
    where = "streams"
    of_pane = HOME
    title = "Streams"
    full_title = "Go to the streams"
    aliases = ("home",)
    nothing_to_do = "Actions: no stream is chosen"

    def __init__(self, model: RunModel, steering: Steering, plugged: Plugged) -> None:
        super().__init__(model, steering, id="body")
        self.listed = StreamList()
        self.table = StreamsTable(self.listed, model.rows)
        self.table.verbs_of = self.name_of
        self.table.extra_columns = plugin_columns(plugged)
        self.details = StreamDetails(model, steering, lambda: self.chosen, self.set_title)
        self._plugged, self._cells_seen = plugged, plugged.cells

    def compose(self) -> ComposeResult:
        yield self.table
        yield self.details

    # --- what is chosen --------------------------------------------------------------------------

    @property
    def main_view(self) -> LineView:
        return self.table

    @property
    def detail_view(self) -> LineView:
        return self.details.tab_view

    @property
    def has_rows(self) -> bool:
        return bool(self.listed.order)

    @property
    def chosen(self) -> Stream | None:
        """The stream under the cursor."""
        stream = self.listed.cursor
        return None if stream is None else self.model.state.streams.get(stream)

    def step_back(self) -> bool:
        log = self.details.log_view
        if self.screen.focused is log and log.needle:
            log.find("")
            return True
        return False

    def chosen_streams(self) -> list[StreamId]:
        return self.listed.targets()

    def choose(self, name: str) -> bool:
        """Go to a stream's row, whatever hides it; return whether there is such a stream."""
        stream = StreamId(name)
        if stream not in self.model.rows:
            self.steering.tell("warning", f"there is no stream {name!r} in this run")
            return False
        if self.listed.position_of(stream) is None:
            self.apply_filter("")
        position = self.listed.position_of(stream)
        if position is not None:
            self.table.put_cursor(position)
        return True

    def completions(self) -> Mapping[str, Iterable[str]]:
        return {"streams": self.model.rows, "columns": SORTABLE}

    # --- keeping up ------------------------------------------------------------------------------

    def update(self) -> None:
        self.rearrange()
        self.table.refresh()
        self.details.paint()

    def apply(self, changes: Changes) -> None:
        self.table.rows_changed(changes.rows)
        is_other_order = not self.listed.order or self.model.state.has_ended
        if changes.is_new_second or changes.is_other_time or is_other_order:
            self.rearrange()
        if changes.is_other_time:
            self.table.refresh()
            self.details.paint()
        if self.listed.cursor in changes.rows or changes.is_new_second or changes.events:
            self.details.paint()

    def hear_plugins(self) -> None:
        """Show what plugins say of each stream now."""
        if self._plugged.cells is not self._cells_seen:
            self._cells_seen = self._plugged.cells
            self.table.forget_strips()
            self.table.refresh()

    def rearrange(self) -> None:
        """Filter and sort the table anew."""
        before = self.listed.cursor
        if self.listed.rearrange(self.model.rows):
            self.table.order_changed()
        self.table.say_when_empty((Span("  no stream matches; esc clears the filter", "muted"),))
        self.paint_table_title()
        if self.listed.cursor != before:
            self.details.paint()

    @property
    def filter_text(self) -> str:
        return self.listed.filter.text

    def apply_filter(self, text: str) -> None:
        self.listed.filter = compile_filter(text)
        self.rearrange()

    def paint_table_title(self) -> None:
        """Say how many streams are shown, filtered by what, sorted how."""
        listed, glyphs = self.listed, self.glyphs
        shown, dot = len(listed.order), f" {glyphs.separator} "
        spans = [Span("Streams", "title")]
        if listed.filter.is_empty:
            spans.append(Span(f" {listed.total}", "muted"))
        else:
            spans += [Span(f" {shown} of {listed.total}", "text"), Span(dot, "muted")]
            spans.append(Span(f"/{listed.filter.text}", "accent"))
            if listed.filter.problem:
                spans.append(Span(f"{dot}{listed.filter.problem}", "level.warning"))
        if listed.sort != PLAN_ORDER or listed.is_reversed:
            arrow = glyphs.descending if listed.is_reversed else glyphs.ascending
            spans.append(Span(f"{dot}by {listed.sort} {arrow}", "muted"))
        self.set_title(self.table, "title", tuple(spans))
        first, last = self.table.top + 1, min(self.table.top + self.table.visible_lines, shown)
        place = f"{first}-{last} of {shown}" if shown > self.table.visible_lines else ""
        marked = f"{glyphs.mark} {len(listed.marked)} marked" if listed.marked else ""
        below = dot.join(part for part in (marked, place) if part)
        self.set_title(self.table, "subtitle", (Span(below, "muted"),) if below else ())

    @on(TextLines.Resized)
    def fit_to_size(self) -> None:
        """Fit to the new size what is cut to a width."""
        if self.is_in_sight:
            self.paint_table_title()
            self.details.paint()

    @on(StreamsTable.CursorMoved)
    def _show_chosen(self) -> None:
        self.details.paint()

    @on(StreamsTable.Scrolled)
    def _show_place(self) -> None:
        self.paint_table_title()

    @on(StreamsTable.SortAsked)
    def _sort_by_title(self, message: StreamsTable.SortAsked) -> None:
        self._sort_by(message.column)

    # --- verbs -----------------------------------------------------------------------------------

    def menu(self) -> list[MenuItem]:
        if not self.listed.targets():
            return []
        return [MenuItem(verb, key, detail=self._whom(verb)) for verb, key in _MENU]

    @property
    def menu_title(self) -> str:
        return f"Actions on {self._whom('')}"

    def _whom(self, verb: str) -> str:
        if verb in _WHOM:
            return _WHOM[verb]
        targets = self.listed.targets()
        return f"{len(targets)} marked streams" if self.listed.marked else str(targets[0])

    def sort(self, argument: str) -> None:
        """Sort by a column, or ask which."""
        if argument in SORTABLE:
            self._sort_by(argument)
        elif argument:
            columns = ", ".join(SORTABLE)
            self.steering.tell("warning", f"no column {argument!r}; there are {columns}")
        else:
            choices = [Choice(c, str(i) if i < 10 else "0", c) for i, c in enumerate(SORTABLE, 1)]
            self.steering.choose("Sort by", choices, self._sort_by, self.listed.sort)

    def _sort_by(self, column: str) -> None:
        self.listed.set_sort(column)
        self._resorted()

    def step_sort(self, step: int) -> None:
        """Sort by the column to the right with 1, to the left with -1."""
        self.listed.step_sort(step)
        self._resorted()

    def reverse(self, argument: str) -> None:
        """Turn the order round."""
        self.listed.is_reversed = not self.listed.is_reversed
        self._resorted()

    def _resorted(self) -> None:
        self.rearrange()
        self.table.refresh()

    def mark(self, argument: str) -> None:
        """Mark the stream under the cursor, and go to the next."""
        self.listed.toggle_mark()
        self.table.refresh_index(self.listed.cursor_index)
        self.table.move("down")
        self.paint_table_title()

    def unmark(self, argument: str) -> None:
        """Take all marks away."""
        self.listed.marked.clear()
        self.table.refresh()
        self.paint_table_title()

    verbs = (
        Verb(
            "sort",
            "Sort by…",
            ("o",),
            sort,
            args="[COLUMN]",
            completes="columns",
            footer="Sort",
        ),
        Verb(
            "sort-left",
            "Sort by the column to the left",
            ("less_than_sign",),
            lambda self, _: self.step_sort(-1),
        ),
        Verb(
            "sort-right",
            "Sort by the column to the right",
            ("greater_than_sign",),
            lambda self, _: self.step_sort(1),
        ),
        Verb("reverse", "Reverse the order", ("O",), reverse),
        Verb("mark", "Mark for the next action", ("space",), mark, footer="Mark"),
        Verb("unmark", "Take all marks away", ("V",), unmark),
    )


_MENU = (
    ("stop", "s"),
    ("retry", "r"),
    ("recover", "g"),
    ("copy", "y"),
    ("story", "e"),
    ("stop-run", "S"),
)
_WHOM = {"story": "", "stop-run": "every stream"}
"""Whom a verb of the menu is about, where that is not who is chosen."""
