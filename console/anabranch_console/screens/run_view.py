"""The screen of a run: its panes, and how they are kept up with what changes.

The screen pulls. Ten times a second :meth:`RunView.advance` asks the model what changed and hands
each pane its part; a pane whose lines are the same as before paints nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.content import Content
from textual.screen import Screen
from textual.widget import Widget

from anabranch.core.events import Recorded
from anabranch.core.model.state import Stream
from anabranch_console.commands import completions
from anabranch_console.containing import Contained
from anabranch_console.lines import Line, Span
from anabranch_console.presenters.columns import PLAN_ORDER
from anabranch_console.presenters.ending import ending_lines
from anabranch_console.presenters.facts import fact_lines, plan_lines
from anabranch_console.presenters.header import header_line
from anabranch_console.presenters.story_lines import story_lines
from anabranch_console.presenters.wording import count
from anabranch_console.run_model import Changes, RunModel
from anabranch_console.screens.asked import HOLD_OFF_SECONDS, Answer, AskedOnce
from anabranch_console.stream_list import SORTABLE, StreamList
from anabranch_console.verbs import Scope
from anabranch_console.widgets.bars import Bar, Footer
from anabranch_console.widgets.command_bar import CommandRow
from anabranch_console.widgets.events_pane import EventsPane, Note
from anabranch_console.widgets.keys import bindings_for
from anabranch_console.widgets.line_view import LineView, Looks, TextLines
from anabranch_console.widgets.log_view import LogView
from anabranch_console.widgets.streams_table import StreamsTable

TABS = ("log", "story", "plan")


class RunView(Contained, Screen[None]):
    """Lays the panes out and keeps them true."""

    AUTO_FOCUS = "#streams"
    BINDINGS: ClassVar[list[BindingType]] = bindings_for(
        *(scope for scope in Scope if scope not in (Scope.LISTS, Scope.LOG))
    )

    hold_off_seconds = HOLD_OFF_SECONDS

    themes: Sequence[tuple[str, str]] = ()
    """The names and titles of the themes there are; set by the app."""

    read_themes_again: Callable[[], None]
    """Takes up what changed in the user's own themes; set by the app."""

    def __init__(self, model: RunModel) -> None:
        super().__init__()
        self.model = model
        self.listed = StreamList()
        self.header = Bar(id="header")
        self.banner = Bar(id="banner")
        self.table = StreamsTable(self.listed, model.rows)
        self.facts = TextLines(id="facts", classes="panel")
        self.facts.can_focus = False
        self.log_view = LogView()
        self.story = TextLines(id="story")
        self.plan = TextLines(id="plan")
        self.tabs = Container(self.log_view, self.story, self.plan, id="tabs", classes="panel")
        self.events_pane = EventsPane(model.state)
        self.bar = CommandRow(self._completions)
        self.footer = Footer()
        self.tab = "log"
        self._titles: dict[tuple[str, str], Line] = {}

    @property
    def looks(self) -> Looks:
        """Palette and glyphs of the app."""
        return cast("Looks", self.app)

    def compose(self) -> ComposeResult:
        yield self.header
        yield self.banner
        with Horizontal(id="body"):
            yield self.table
            with Vertical(id="details"):
                yield self.facts
                yield self.tabs
        yield self.events_pane
        yield self.bar
        yield self.footer

    def on_mount(self) -> None:
        self.set_class(self.looks.glyphs.is_ascii, "-ascii")
        self.show_tab("log")
        self.set_title(self.events_pane, "title", (Span("Events", "title"),))
        self.advance()

    # --- keeping up ------------------------------------------------------------------------------

    def advance(self) -> Changes:
        """Pull what is new and let every pane that it concerns paint it."""
        changes = self.model.pull()
        if not changes.is_nothing:
            self.apply(changes)
        if self.tab == "log" and self.is_home_shown:
            self.log_view.read_more()
        return changes

    def apply(self, changes: Changes) -> None:
        """Let the panes paint what changed; those that are hidden are brought up to date later."""
        self._add_events(changes)
        self.paint_header()
        self._paint_banner()
        if self.is_home_shown:
            self._apply_to_streams(changes)

    def _apply_to_streams(self, changes: Changes) -> None:
        self.table.rows_changed(changes.rows)
        is_other_order = not self.listed.order or self.model.state.has_ended
        if changes.is_new_second or changes.is_other_time or is_other_order:
            self.rearrange()
        if changes.is_other_time:
            self.table.refresh()
            self.paint_details()
        chosen = self.listed.cursor
        if chosen in changes.rows or changes.is_new_second or changes.events:
            self.paint_details()

    def _add_events(self, changes: Changes) -> None:
        self.events_pane.state = self.model.state
        entries: list[Recorded | Note] = []
        if changes.missed:
            told = f"{count(changes.missed, 'event')} came too fast to be shown"
            entries.append(Note(self.model.now, "warning", told))
        if changes.problem:
            told = f"the engine does not answer: {changes.problem}"
            entries.append(Note(self.model.now, "error", told))
        entries += changes.events
        self.events_pane.add(entries)

    def rearrange(self) -> None:
        """Filter and sort the table anew."""
        before = self.listed.cursor
        if self.listed.rearrange(self.model.rows):
            self.table.order_changed()
        self.table.say_when_empty((Span("  no stream matches; esc clears the filter", "muted"),))
        self.paint_table_title()
        if self.listed.cursor != before:
            self.paint_details()

    # --- painting --------------------------------------------------------------------------------

    def paint_header(self) -> None:
        """Bring the header up to date."""
        model = self.model
        line = header_line(
            model.state,
            list(model.rows.values()),
            model.now,
            model.overhead,
            model.source.hosting,
            self.looks.glyphs,
            self.size.width,
            is_halted=model.source.trouble is not None,
        )
        self.header.show([line])

    def _paint_banner(self) -> None:
        lines = ending_lines(self.model.state, self.looks.glyphs, self.size.width - 4)
        edge = Span(f" {self.looks.glyphs.edge} ", f"state.{self.model.state.phase}")
        self.banner.show([(edge, *line) for line in lines])
        if self.banner.display != bool(lines):
            self.banner.display = bool(lines)
        if lines:
            self.banner.styles.height = len(lines)

    def paint_footer(self) -> None:
        """Name the keys of the pane that has the focus."""
        self.footer.show_verbs(self.footer_scopes())

    def footer_scopes(self) -> Sequence[Scope]:
        """Return what the footer names the keys of."""
        scope = self.focused.scope if isinstance(self.focused, LineView) else None
        if scope is Scope.LOG:
            return (Scope.LOG, Scope.ANYWHERE)
        return (Scope.STREAMS, Scope.STREAM, Scope.TABLES, Scope.ANYWHERE)

    def paint_table_title(self) -> None:
        """Say how many streams are shown, filtered by what, sorted how."""
        listed, glyphs = self.listed, self.looks.glyphs
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
        told = dot.join(part for part in (marked, place) if part)
        self.set_title(self.table, "subtitle", (Span(told, "muted"),) if told else ())

    def paint_details(self) -> None:
        """Bring the panels about the chosen stream up to date."""
        stream = self.chosen
        if stream is None:
            self.facts.show([])
            self.story.show([])
            self.plan.show([])
            self.log_view.say_when_empty(())
            self.log_view.open(None)
            self.set_title(self.facts, "title", (Span("no stream is chosen", "muted"),))
            return
        state, glyphs = self.model.state, self.looks.glyphs
        width = max(self.facts.content_size.width, 20)
        vitals = self.model.vitals_of(stream.id)
        self.facts.show(fact_lines(state, stream, vitals, self.model.now, width))
        name = stream.public_state
        attempt = f"  attempt {stream.attempt}" if stream.attempt > 1 else ""
        title = (
            Span(stream.id, "strong"),
            Span(f" {glyphs.state(name)} {name}", f"state.{name}"),
            Span(attempt, "state.recovering"),
        )
        self.set_title(self.facts, "title", title)
        self._paint_tab(stream)

    def _paint_tab(self, stream: Stream) -> None:
        state, width = self.model.state, max(self.tabs.content_size.width, 20)
        if self.tab == "story":
            records = self.model.story(stream.id)
            event, glyphs = self.model.event, self.looks.glyphs
            self.story.show(story_lines(state, stream.id, records, event, glyphs))
        elif self.tab == "plan":
            self.plan.show(plan_lines(state, stream, width))
        else:
            told = "it wrote nothing" if stream.has_ended else "no output yet"
            if not stream.log:
                told = "no log: it never started" if stream.has_ended else "no log yet: not started"
            self.log_view.say_when_empty((Span(told, "muted"),))
            self.log_view.open(self.log_path(stream))
        self.paint_tab_title()

    def paint_tab_title(self) -> None:
        """Say which tab is open, and how the log stands."""
        spans: list[Span] = []
        for tab in TABS:
            gap = "  " if spans else ""
            spans.append(Span(f"{gap}{tab.capitalize()}", "title" if tab == self.tab else "muted"))
        self.set_title(self.tabs, "title", tuple(spans))
        self.set_title(self.tabs, "subtitle", self._log_standing() if self.tab == "log" else ())

    def _log_standing(self) -> Line:
        log, dot = self.log_view, f" {self.looks.glyphs.separator} "
        told = log.standing()
        if log.is_wrapped:
            told.append("wrapped")
        if self.model.time.past is not None:
            told.append("as it is now")
        told.append("following" if log.is_following else "paused, end follows")
        return (Span(dot.join(told), "muted"),)

    def ask(
        self, question: AskedOnce[Answer], then: Callable[[Answer | None], None] | None = None
    ) -> bool:
        """Put a question over the screen, unless one is there: a doubled key asks once."""
        if self.app.screen is not self:
            return False
        question.hold_off(self.hold_off_seconds)
        self.app.push_screen(question, then)
        return True

    def set_title(self, widget: Widget, side: str, line: Line) -> None:
        """Set the title or subtitle in a panel's border, if it is another one."""
        key = (widget.id or "", side)
        if self._titles.get(key) == line:
            return
        self._titles[key] = line
        content: Content | str = ""
        if line:
            palette, glyphs = self.looks.palette, self.looks.glyphs
            parts = [(glyphs.presentable(t), str(palette.style(s))) for t, s in line if t]
            content = Content.assemble(*parts)
        if side == "title":
            widget.border_title = content
        else:
            widget.border_subtitle = content

    def repaint_everything(self) -> None:
        """Paint all panes again, in new colours."""
        self._titles.clear()
        for view in self.query(LineView):
            view.refresh_everything()
        self.paint_header()
        self.paint_table_title()
        self.paint_details()
        self.paint_footer()
        self.set_title(self.events_pane, "title", (Span("Events", "title"),))

    # --- what is chosen --------------------------------------------------------------------------

    @property
    def is_home_shown(self) -> bool:
        """Whether the streams are what is shown."""
        return True

    @property
    def main_view(self) -> LineView:
        """The table that has the focus by default."""
        return self.table

    @property
    def detail_view(self) -> LineView:
        """The pane about what is chosen."""
        return self.tab_view

    @property
    def chosen(self) -> Stream | None:
        """The stream under the cursor."""
        stream = self.listed.cursor
        return None if stream is None else self.model.state.streams.get(stream)

    @on(TextLines.Resized)
    def fit_to_size(self) -> None:
        """Fit to the new size what is cut to a width."""
        self.fit_bars()
        if self.is_home_shown:
            self.paint_table_title()
            self.paint_details()

    def fit_bars(self) -> None:
        """Fit the bars at the edges to the width."""
        self.paint_header()
        self._paint_banner()
        self.paint_footer()

    def log_path(self, stream: Stream) -> Path | None:
        """Return where a stream's log lies, None if it never ran."""
        return None if stream.log is None else self.model.source.folder / stream.log

    def show_tab(self, tab: str) -> None:
        """Open one of the tabs of the details."""
        had_focus = self.focused is not None and self.focused.id in TABS
        self.tab = tab
        for name, view in (("log", self.log_view), ("story", self.story), ("plan", self.plan)):
            view.display = name == tab
        if had_focus:
            self.tab_view.focus()
        if self.chosen is not None:
            self.paint_details()

    @property
    def tab_view(self) -> LineView:
        """The pane of the open tab."""
        return {"log": self.log_view, "story": self.story, "plan": self.plan}[self.tab]

    def _completions(self, text: str) -> list[str]:
        return completions(text, self.completable())

    def plugin_names(self, kind: str) -> list[str]:
        """Return the names of what plugins bring of a kind."""
        return []

    def completable(self) -> dict[str, Sequence[str]]:
        """Return what arguments of commands complete to."""
        return {
            "streams": list(self.model.rows),
            "columns": SORTABLE,
            "themes": [name for name, _ in self.themes],
            "locks": sorted(self.model.state.locks.entries),
            "panes": self.plugin_names("panes"),
            "actions": self.plugin_names("actions"),
            "points": list(self.model.state.points),
            "breakers": list(self.model.state.breakers.tripped),
            "violators": sorted(self.model.state.locks.violations),
        }
