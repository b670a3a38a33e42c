"""The panel about the chosen stream: its facts, and its log, its story or its plan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Vertical

from anabranch.core.model.state import Stream
from anabranch_console.containing import Contained
from anabranch_console.lines import Line, Span
from anabranch_console.panes.log_verbs import LogVerbs
from anabranch_console.presenters.facts import fact_lines, plan_lines
from anabranch_console.presenters.story_lines import story_lines
from anabranch_console.run_model import RunModel
from anabranch_console.widgets.line_view import LineView, TextLines
from anabranch_console.widgets.log_view import LogView

TABS = ("log", "story", "plan")
LEAST_CELLS = 20
"""How narrow lines are wrapped at least, also before the panel has its size."""

SetTitle = Callable[[LineView | Container, str, Line], None]


class StreamDetails(Contained, Vertical):
    """Facts above, one of the tabs below.

    Args:
        model: the run.
        chosen: returns the stream it is about.
        set_title: sets a title in a border.
    """

    def __init__(
        self,
        model: RunModel,
        chosen: Callable[[], Stream | None],
        set_title: SetTitle,
    ) -> None:
        super().__init__(id="details", classes="detail")
        self._model = model
        self._chosen, self._set_title = chosen, set_title
        self.facts = TextLines(id="facts", classes="panel")
        self.facts.can_focus = False
        self.log_view = LogView()
        self.log_view.verbs_of = LogVerbs.name_of
        self.story = TextLines(id="story")
        self.plan = TextLines(id="plan")
        self.tabs = Container(self.log_view, self.story, self.plan, id="tabs", classes="panel")
        self.tab = "log"

    def compose(self) -> ComposeResult:
        yield self.facts
        yield self.tabs

    # --- painting --------------------------------------------------------------------------------

    def paint(self) -> None:
        """Bring everything about the chosen stream up to date."""
        stream = self._chosen()
        if stream is None:
            for view in (self.facts, self.story, self.plan):
                view.show([])
            self.log_view.say_when_empty(())
            self.log_view.open(None)
            self._set_title(self.facts, "title", (Span("no stream is chosen", "muted"),))
            return
        self._paint_facts(stream)
        self._paint_tab(stream)

    def _paint_facts(self, stream: Stream) -> None:
        model, glyphs = self._model, self.log_view.looks.glyphs
        width = max(self.facts.content_size.width, LEAST_CELLS)
        vitals = model.vitals_of(stream.id)
        tally = model.tally_of(stream.id)
        self.facts.show(fact_lines(model.state, stream, vitals, model.now, width, tally))
        name = stream.public_state
        attempt = f"  attempt {stream.attempt}" if stream.attempt > 1 else ""
        title = (
            Span(stream.id, "strong"),
            Span(f" {glyphs.state(name)} {name}", f"state.{name}"),
            Span(attempt, "state.recovering"),
        )
        self._set_title(self.facts, "title", title)

    def _paint_tab(self, stream: Stream) -> None:
        model, width = self._model, max(self.tabs.content_size.width, LEAST_CELLS)
        if self.tab == "story":
            records, glyphs = model.story(stream.id), self.log_view.looks.glyphs
            self.story.show(story_lines(model.state, stream.id, records, model.event, glyphs))
        elif self.tab == "plan":
            self.plan.show(plan_lines(model.state, stream, width))
        else:
            self.log_view.say_when_empty((Span(_why_empty(stream), "muted"),))
            self.log_view.open(self.log_path(stream))
        self.paint_tab_title()

    def paint_tab_title(self) -> None:
        """Say which tab is open, and how the log stands."""
        spans: list[Span] = []
        for tab in TABS:
            gap = "  " if spans else ""
            spans.append(Span(f"{gap}{tab.capitalize()}", "title" if tab == self.tab else "muted"))
        self._set_title(self.tabs, "title", tuple(spans))
        self._set_title(self.tabs, "subtitle", self._log_standing() if self.tab == "log" else ())

    def _log_standing(self) -> Line:
        log, dot = self.log_view, f" {self.log_view.looks.glyphs.separator} "
        parts = log.standing()
        if log.is_wrapped:
            parts.append("wrapped")
        if self._model.time.past is not None:
            parts.append("as it is now")
        parts.append("following" if log.is_following else "paused, end follows")
        return (Span(dot.join(parts), "muted"),)

    @on(LogView.Changed)
    def _show_log_standing(self) -> None:
        self.paint_tab_title()

    def log_path(self, stream: Stream) -> Path | None:
        """Return where a stream's log lies, None if it never ran."""
        return None if stream.log is None else self._model.source.folder / stream.log

    # --- tabs ------------------------------------------------------------------------------------

    @property
    def tab_view(self) -> LineView:
        """What the open tab shows."""
        return {"log": self.log_view, "story": self.story, "plan": self.plan}[self.tab]

    def show_tab(self, tab: str) -> None:
        """Open one of the tabs."""
        focused = self.screen.focused
        had_focus = focused is not None and focused.id in TABS
        self.tab = tab
        for name, view in (("log", self.log_view), ("story", self.story), ("plan", self.plan)):
            view.display = name == tab
        if had_focus:
            self.tab_view.focus()
        if self._chosen() is not None:
            self.paint()

    def step_tab(self, step: int) -> None:
        """Open the tab to the right with 1, to the left with -1; they go round."""
        self.show_tab(TABS[(TABS.index(self.tab) + step) % len(TABS)])


def _why_empty(stream: Stream) -> str:
    if stream.log:
        return "it wrote nothing" if stream.has_ended else "no output yet"
    return "no log: it never started" if stream.has_ended else "no log yet: not started"
