"""The panel about the chosen stream: its facts, and its log, its story or its plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from textual import on
from textual.app import ComposeResult
from textual.containers import Container, Vertical
from textual.events import Click

from anabranch.core.model.state import Stream
from anabranch.core.wording import listing, spelled
from anabranch.engine.attaching import attempt_to_attach
from anabranch.errors import UsageError
from anabranch.paths import RunFolder
from anabranch_console.attached.typed import LEAVING_KEY
from anabranch_console.containing import Contained
from anabranch_console.lines import Line, Span, text_cells
from anabranch_console.panes.log_verbs import LogVerbs
from anabranch_console.presenters.facts import fact_lines, plan_lines
from anabranch_console.presenters.log_standing import MOST_BREVITY
from anabranch_console.presenters.story_lines import story_lines
from anabranch_console.presenters.stream_columns import state_of
from anabranch_console.presenters.wording import safe
from anabranch_console.run_model import RunModel
from anabranch_console.widgets.line_view import LineView, TextLines
from anabranch_console.widgets.log_view import LogView

if TYPE_CHECKING:
    from anabranch_console.widgets.stream_screen import StreamScreen

TABS = ("log", "story", "plan")
TERMINAL = "terminal"
_TITLE_BEGINS, _TAB_GAP = 3, 2
LEAST_CELLS = 20
"""How narrow lines are wrapped at least, also before the panel has its size."""

SetTitle = Callable[[LineView | Container, str, Line], None]


class StreamDetails(Contained, Vertical):
    """Facts above, one of the tabs below.

    Args:
        model: the run.
        chosen: returns the stream it is about.
        set_title: sets a title in a border.
        take_focus: has the table of streams take the keys.
        marked: returns the streams whose logs are shown as one, once that is wished for.
    """

    def __init__(
        self,
        model: RunModel,
        chosen: Callable[[], Stream | None],
        set_title: SetTitle,
        take_focus: Callable[[], object],
        marked: Callable[[], Sequence[Stream]],
    ) -> None:
        super().__init__(id="details", classes="detail")
        self._model = model
        self._chosen, self._set_title, self.take_focus = chosen, set_title, take_focus
        self._marked = marked
        self.merges_marked = False
        self.facts = TextLines(id="facts", classes="panel")
        self.facts.can_focus = False
        self.log_view = LogView()
        self.log_view.verbs_of = LogVerbs.name_of
        self.story = TextLines(id="story")
        self.plan = TextLines(id="plan")
        self.terminal: StreamScreen | None = None
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
            self.log_view.open()
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
        row, name = model.rows.get(stream.id), stream.public_state
        words = Span(spelled(name), f"state.{name}")
        stands = state_of(row, glyphs) if row else words
        attempt = f"  attempt {stream.attempt}" if stream.attempt > 1 else ""
        title = (
            Span(stream.id, "strong"),
            stands._replace(text=f" {stands.text}"),
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
        elif self.tab == TERMINAL:
            self._paint_terminal(stream)
        else:
            self._paint_log(stream)
        self.paint_tab_title()

    @property
    def merged(self) -> Sequence[Stream]:
        """The streams whose logs are shown as one; none if it is that of the chosen one."""
        marked = self._marked() if self.merges_marked else ()
        return marked if len(marked) > 1 else ()

    def _paint_log(self, stream: Stream) -> None:
        merged = self.merged
        self.merges_marked = bool(merged)  # others that are marked later are not meant
        if not merged:
            path = self.log_path(stream)
            self._say_when_empty(why_empty(stream, path))
            self.log_view.open(*([path] if path else []))
            return
        known = [(one.id, path) for one in merged if (path := self.log_path(one))]
        self._say_when_empty("none of them has written anything")
        names, paths = [name for name, _ in known], [path for _, path in known]
        self.log_view.open(*paths, names=names)

    def _say_when_empty(self, why: str) -> None:
        if self.log_view.least is not None:
            why = "no line of that level, as far as it was read; S shows others"
        self.log_view.say_when_empty((Span(why, "muted"),))

    def _paint_terminal(self, stream: Stream) -> None:
        if self.terminal is None:
            return
        state = self._model.live_state
        try:
            attempt = attempt_to_attach(state, stream.id)
        except UsageError as error:
            if not self.terminal.is_of(stream.id):
                self.terminal.say_why_not(error.message)
        else:
            self.terminal.show(RunFolder(self._model.source.folder), stream.id, attempt)

    def paint_tab_title(self) -> None:
        """Say which tab is open, and how the log stands."""
        spans: list[Span] = []
        for tab in self._tabs():
            gap = " " * _TAB_GAP if spans else ""
            spans.append(Span(f"{gap}{tab.capitalize()}", "title" if tab == self.tab else "muted"))
        self._set_title(self.tabs, "title", tuple(spans))
        self._set_title(self.tabs, "subtitle", self._standing())

    def _standing(self) -> Line:
        if self.tab == TERMINAL and self.terminal is not None:
            if self.terminal.has_keys:
                return (
                    Span(f"{LEAVING_KEY}", "key"),
                    Span(" leaves; all other keys go in", "text"),
                )
            chosen = self._chosen()
            was_there = chosen is not None and self.terminal.is_of(chosen.id)
            says = "A types into it" if self.terminal.is_live else "it has ended"
            return (Span(says if self.terminal.is_live or was_there else "", "muted"),)
        return self._log_standing() if self.tab == "log" else ()

    def _log_standing(self) -> Line:
        """Return how the log stands, in as many words as there is room for."""
        dot, room = f" {self.log_view.looks.glyphs.separator} ", self.tabs.content_size.width - 2
        texts = (dot.join(self._standing_parts(brevity)) for brevity in range(MOST_BREVITY))
        brief = dot.join(self._standing_parts(MOST_BREVITY))
        text = next((text for text in texts if text_cells(text) <= room), brief)
        return (Span(text, "muted"),)

    def _standing_parts(self, brevity: int) -> list[str]:
        log, chosen, merged = self.log_view, self._chosen(), self.merged
        parts = [safe(chosen.id)] if chosen and not self.facts.region else []
        if merged:
            names = listing((safe(one.id) for one in merged), 3)
            parts = [f"{len(merged)} by time" if brevity else f"{names} by time"]
        parts += log.standing(brevity)
        if log.is_wrapped:
            parts.append("wrapped")
        if self._model.time.past is not None:
            parts.append("as it is now")
        paused = "paused" if brevity == MOST_BREVITY else "paused, end follows"
        return [*parts, "following" if log.is_following else paused]

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
        views = {"log": self.log_view, "story": self.story, "plan": self.plan}
        return self.terminal or self.log_view if self.tab == TERMINAL else views[self.tab]

    def _tabs(self) -> tuple[str, ...]:
        """Return the tabs that there are: that of the terminal only where there is one."""
        stream = self._chosen()
        has_one = stream is not None and self._model.state.stream_plan(stream.id).tty
        return (*TABS, TERMINAL) if has_one or self.tab == TERMINAL else TABS

    def show_tab(self, tab: str) -> None:
        """Open one of the tabs."""
        focused = self.screen.focused
        had_focus = focused is not None and focused.id in (*TABS, TERMINAL)
        self.tab = tab
        for name, view in (("log", self.log_view), ("story", self.story), ("plan", self.plan)):
            view.display = name == tab
        self._show_terminal(is_shown=tab == TERMINAL)
        if had_focus:
            self.tab_view.focus()
        if self._chosen() is not None:
            self.paint()

    def _show_terminal(self, *, is_shown: bool) -> None:
        """Show the emulated terminal, which is made when it is wanted first; or leave it."""
        if is_shown and self.terminal is None:
            from anabranch_console.widgets.stream_screen import StreamScreen  # few look at one

            self.terminal = StreamScreen()
            self.tabs.mount(self.terminal)
        self.set_class(is_shown, "-terminal")
        if self.terminal is not None:
            self.terminal.display = is_shown
            if not is_shown:
                self.terminal.leave()

    def type_into_terminal(self) -> None:
        """Show the terminal of the chosen stream, and have all keys go there."""
        self.show_tab(TERMINAL)
        assert self.terminal is not None
        self.call_after_refresh(self._give_keys)

    def on_stream_screen_changed(self) -> None:
        """Say who has the keys."""
        self.paint_tab_title()

    def on_stream_screen_left(self) -> None:
        """Have keys mean what they mean elsewhere: in the table of streams."""
        self.take_focus()

    def left(self) -> None:
        """Attach to nothing while nobody looks here."""
        if self.terminal is not None:
            self.terminal.leave()

    def _give_keys(self) -> None:
        if self.terminal is not None and self.tab == TERMINAL:
            self.terminal.take_keys()

    def on_click(self, event: Click) -> None:
        """Open the tab whose name in the border was clicked."""
        x, y = event.screen_x - self.tabs.region.x - _TITLE_BEGINS, event.screen_y
        if y != self.tabs.region.y:
            return
        for tab in self._tabs():
            if 0 <= x < len(tab):
                self.show_tab(tab)
            x -= len(tab) + _TAB_GAP

    def step_tab(self, step: int) -> None:
        """Open the tab to the right with 1, to the left with -1; they go round."""
        tabs = self._tabs()
        self.show_tab(tabs[(tabs.index(self.tab) + step) % len(tabs)])


def why_empty(stream: Stream, log: Path | None) -> str:
    """Say why there is nothing to read in a stream's log; it may have been removed."""
    if stream.log and log is not None:
        if stream.started_at is not None and not log.exists():
            return "its log is not there any more"
        return "it wrote nothing" if stream.has_ended else "no output yet"
    return "no log: it never started" if stream.has_ended else "no log yet: not started"
