"""The streams, the home of the console: their table, and the panel about the chosen one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from textual import on
from textual.app import ComposeResult

from anabranch.core.ids import StreamId
from anabranch.core.model.state import Stream
from anabranch.paths import RunFolder
from anabranch_console.filtering import compile_filter
from anabranch_console.lines import Line, Span
from anabranch_console.panes.pane import Filter, MenuItem
from anabranch_console.panes.sorted_pane import SortedPane, sorting_verbs
from anabranch_console.panes.stream_details import StreamDetails
from anabranch_console.panes.timeline import read_spells
from anabranch_console.plugged import Plugged
from anabranch_console.presenters.stream_columns import plugin_columns, stream_columns, with_plugins
from anabranch_console.presenters.stream_row import StreamRow
from anabranch_console.presenters.time_column import WHEN, TimeColumn
from anabranch_console.run_model import Changes, RunModel
from anabranch_console.steering import Steering
from anabranch_console.stream_list import StreamList
from anabranch_console.verbs import Verb
from anabranch_console.widgets.line_view import LineView, TextLines
from anabranch_console.widgets.log_view import LogView

HOME = "streams"
_FEW = 12


class StreamsPane(SortedPane[StreamRow]):
    """One row a stream, in the order and by the filter of whoever looks."""

    show_handlers: Callable[[StreamId], None]
    """Shows the handlers of a stream; set by the screen."""

    show_changes: Callable[[StreamId], None]
    """Shows what a stream has changed; set by the screen."""

    looked_at: Callable[[StreamId | None], None] = staticmethod(lambda stream: None)
    """Is told whose details are opened; set by the screen."""

    name_of = HOME
    where = "streams"
    of_pane = HOME
    title = "Streams"
    full_title = "Go to the streams"
    aliases = ("home",)
    nothing_to_do = "no stream is chosen"

    def __init__(self, model: RunModel, steering: Steering, plugged: Plugged) -> None:
        when = TimeColumn(
            lambda: (model.spells, model.state, model.now),
            lambda: self._cells_of(WHEN),
            lambda: self.glyphs,
        )
        own = stream_columns(lambda: self.glyphs, self._longest_name, [when.column()])
        self.listed = StreamList(own)
        columns = with_plugins(own, plugin_columns(plugged))
        super().__init__(model, steering, columns, lambda row: row.id)
        self.add_class("-current")
        self.grid.sign_of = self._sign
        self.grid.sorted_by = lambda: (self.listed.sort, self.listed.is_reversed)
        self.details = StreamDetails(
            model,
            lambda: self.chosen_stream,
            self.set_title,
            self.grid.focus,
            self._marked_streams,
        )
        self._plugged, self._cells_seen = plugged, plugged.cells
        self._has_read = False

    def compose(self) -> ComposeResult:
        yield self.grid
        yield self.details

    def _longest_name(self) -> int:
        return max((len(stream) for stream in self.model.rows), default=8)

    def _cells_of(self, column: str) -> int:
        return next((width for known, width in self.grid.fitting if known.id == column), 0)

    def _read_spells(self) -> None:
        """Read what happened before the console looked, once, if it is shown here."""
        if self._has_read or not self.model.spells.has_gap or not self._cells_of(WHEN):
            return
        self._has_read = True
        folder = RunFolder(self.model.source.folder)
        self.steering.in_thread(lambda: read_spells(folder), self.model.take_spells, "timeline")

    def _sign(self, row: StreamRow) -> str:
        if row.id in self.listed.marked:
            return self.glyphs.mark
        if row.needs_you:
            return self.glyphs.needs
        return self.glyphs.unseen if row.attention == "done" else " "

    # --- what is chosen --------------------------------------------------------------------------

    @property
    def detail_view(self) -> LineView:
        return self.details.tab_view

    @property
    def log_view(self) -> LogView:
        return self.details.log_view

    def open_log(self) -> None:
        self.details.show_tab("log")

    def keep_reading(self) -> None:
        if self.details.tab == "log":
            self.log_view.read_more()

    def open_details(self) -> None:
        """Go to the handlers of a stream that has some, else to the panel about it."""
        if self.cursor is not None and self.model.has_handlers(self.cursor):
            self.show_handlers(self.cursor)
        else:
            self.open_panel()

    def left(self) -> None:
        super().left()
        self.details.left()

    def open_panel(self) -> None:
        """Go to the panel about the chosen stream, whatever it is."""
        super().open_details()
        self.looked_at(self.cursor)

    @property
    def cursor(self) -> StreamId | None:
        """The stream under the cursor, also while another pane is in sight."""
        row = self.grid.chosen
        return row.id if row else None

    @property
    def chosen_stream(self) -> Stream | None:
        """The same, as it is in the state that is shown."""
        return self.model.state.streams.get(self.cursor) if self.cursor else None

    def chosen_streams(self) -> list[StreamId]:
        return self.listed.targets(self.cursor)

    def _marked_streams(self) -> list[Stream]:
        """Return the marked streams, in the order of the plan."""
        rows, streams = self.model.rows, self.model.state.streams
        marked = [rows[stream] for stream in self.listed.marked if stream in rows]
        marked.sort(key=lambda row: (row.position, row.id))
        return [streams[row.id] for row in marked if row.id in streams]

    def choose(self, name: str) -> bool:
        """Go to a stream's row, whatever hides it; return whether there is such a stream."""
        stream = StreamId(name)
        if stream not in self.model.rows:
            self.steering.tell("warning", f"there is no stream {name!r} in this run")
            return False
        if self.grid.index_of(stream) is None:
            self.apply_filter("")
        position = self.grid.index_of(stream)
        if position is not None:
            self.grid.put_cursor(position)
        return True

    def completions(self) -> Mapping[str, Iterable[str]]:
        return {"streams": self.model.rows, "columns": self.listed.sortable}

    # --- keeping up ------------------------------------------------------------------------------

    def update(self) -> None:
        self.rearrange()
        self.details.paint()

    def apply(self, changes: Changes) -> None:
        is_other_order = not self.listed.order or self.model.state.has_ended
        if changes.is_new_second or changes.is_other_time or is_other_order:
            self.rearrange()
            self._read_spells()
        elif changes.rows:
            self._show_rows()
            self.name_keys()
        is_of_chosen = self.cursor in changes.rows
        if is_of_chosen or changes.is_other_time or changes.is_new_second or changes.events:
            self.details.paint()

    def hear_plugins(self) -> None:
        """Show what plugins say of each stream now."""
        if self._plugged.cells is not self._cells_seen:
            self._cells_seen = self._plugged.cells
            self.grid.compare()

    def rearrange(self) -> None:
        """Filter and sort anew."""
        before = self.cursor
        self.listed.rearrange(self.model.rows)
        self._show_rows()
        self.paint_titles()
        if self.cursor != before:
            self.details.paint()

    def _show_rows(self) -> None:
        rows = self.model.rows
        empty = (
            "there are no streams; n adds one"
            if not rows
            else "no stream matches; esc clears the filter"
        )
        self.screen.set_class(len(rows) <= _FEW, "-few")  # events get what rows do not need
        self.grid.say_when_empty((Span(f"  {empty}", "muted"),))
        self.grid.show([rows[stream] for stream in self.listed.order if stream in rows])

    @property
    def filter(self) -> Filter:
        return self.listed.filter

    @property
    def total(self) -> int:
        return self.listed.total

    def apply_filter(self, text: str) -> None:
        self.listed.filter = compile_filter(text)
        self.rearrange()

    @property
    def order(self) -> StreamList:
        return self.listed

    def standing(self) -> Line:
        return self.order_in_words()

    def marks(self) -> str:
        marked = len(self.listed.marked)
        return f"{self.glyphs.mark} {marked} marked" if marked else ""

    def paint_detail(self) -> None:
        self.details.paint()

    @on(TextLines.Resized)
    def _fit_to_size(self) -> None:
        if self.is_in_sight:
            self.paint_titles()
            self.details.paint()

    def step_back(self) -> bool:
        log = self.details.log_view
        if self.screen.focused is not log:
            return False
        if log.needle:
            log.find("")
            return True
        was_merged, self.details.merges_marked = bool(self.details.merged), False
        self.details.paint()
        return was_merged

    # --- verbs -----------------------------------------------------------------------------------

    def menu(self) -> list[MenuItem]:
        if not self.chosen_streams():
            return []
        return [MenuItem(verb, key, detail=self._whom(verb)) for verb, key in _MENU]

    @property
    def menu_title(self) -> str:
        return f"Actions on {self._whom('')}"

    def _whom(self, verb: str) -> str:
        if verb in _WHOM:
            return _WHOM[verb]
        targets = self.chosen_streams()
        return f"{len(targets)} marked streams" if self.listed.marked else str(targets[0])

    def mark(self, argument: str) -> None:
        """Mark the stream under the cursor, and go to the next."""
        if self.cursor is not None:
            self.listed.toggle_mark(self.cursor)
            self.grid.compare()
            self.grid.move("down")
            self.paint_titles()

    def none_here(self, argument: str) -> str | None:
        """Say so if there is no stream under the cursor."""
        return None if self.cursor is not None else "no stream is chosen"

    def unmark(self, argument: str) -> None:
        """Take all marks away."""
        self.listed.marked.clear()
        self.grid.compare()
        self.paint_titles()
        self.details.paint()

    verbs = (
        *sorting_verbs("", "columns"),
        Verb("mark", "Mark for the next action", ("space",), mark, none_here, footer="Mark"),
        Verb("unmark", "Take all marks away", ("V",), unmark),
    )


_MENU = (
    ("stop", "s"),
    ("retry", "r"),
    ("recover", "g"),
    ("edit-stream", "E"),
    ("copy", "y"),
    ("story", "e"),
    ("approve", "A"),
    ("close", "C"),
    ("stop-run", "S"),
)
_WHOM = {
    "story": "",
    "approve": "the whole run",
    "close": "nothing more is added",
    "stop-run": "every stream",
}
"""Whom a verb of the menu is about, where that is not who is chosen."""
