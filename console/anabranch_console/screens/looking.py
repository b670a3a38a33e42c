"""What the verbs do that only look: moving, sorting, filtering, finding, opening and hiding.

Every verb of the registry has its ``do_`` method, here or in :mod:`.run_screen`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from textual import on
from textual.events import DescendantFocus
from textual.message import Message
from textual.notifications import SeverityLevel

from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import RunPhase
from anabranch_console.commands import parse_command
from anabranch_console.filtering import compile_filter
from anabranch_console.lines import Span
from anabranch_console.presenters.wording import count, safe, shortened
from anabranch_console.screens.dialogs import Choice, Choose
from anabranch_console.screens.run_view import TABS, RunView
from anabranch_console.stream_list import SORTABLE
from anabranch_console.verbs import BY_ID, VERBS, Situation, shown_keys
from anabranch_console.widgets.bars import Footer
from anabranch_console.widgets.command_bar import CommandBar, Purpose
from anabranch_console.widgets.events_pane import EventsPane, Note
from anabranch_console.widgets.line_view import LineView
from anabranch_console.widgets.log_view import LogView
from anabranch_console.widgets.streams_table import StreamsTable

if TYPE_CHECKING:
    from anabranch_console.screens.palette import Hit

_GO_TO = ">"
_FULL_CLASSES = ("-full-streams", "-full-details", "-full-events")
Level = Literal["info", "warning", "error"]
_SEVERITIES: dict[Level, SeverityLevel] = {
    "info": "information",
    "warning": "warning",
    "error": "error",
}


class LookingScreen(RunView):
    """Does every verb that only changes what is seen."""

    class RepaintAsked(Message):
        """The whole screen is to be painted, whatever the terminal shows."""

    class ThemeChosen(Message):
        """Another theme is wanted, or is to be looked at."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    # --- dispatch --------------------------------------------------------------------------------

    def action_verb(self, verb: str, argument: str = "") -> None:
        """Do a verb, or say why it cannot be done now; nothing while a question lies above."""
        if self.app.screen is not self:
            return
        why_not = BY_ID[verb].why_not(self.situation(argument))
        if why_not is not None:
            self.tell("warning", f"{BY_ID[verb].title.rstrip('…')}: {why_not}")
            return
        method: Callable[[str], None] = getattr(self, f"do_{verb.replace('-', '_')}")
        method(argument)

    def situation(self, argument: str = "") -> Situation:
        """Return what decides which verbs can be used."""
        state = self.model.state
        names = [StreamId(argument)] if argument else self.listed.targets()
        streams = [state.streams[s] for s in names if s in state.streams]
        is_known = bool(streams)
        return Situation(
            has_stream=bool(names),
            stream_has_ended=is_known and all(s.has_ended for s in streams),
            stream_can_be_retried=not is_known
            or any(can_be_retried(s.phase, s.has_ended) for s in streams),
            run_has_ended=state.has_ended,
            can_be_approved=state.phase is RunPhase.CONVERGED and not state.approval.is_done,
            is_stopping=state.phase is RunPhase.STOPPING,
        )

    def tell(self, level: Level, text: str) -> None:
        """Say something in a toast and in the events pane."""
        text = shortened(text)
        self.notify(safe(text), severity=_SEVERITIES[level], markup=False)
        if level != "info":
            self.events_pane.add([Note(self.model.now, level, text)])

    # --- anywhere --------------------------------------------------------------------------------

    def do_help(self, argument: str) -> None:
        from anabranch_console.screens.help import HelpScreen

        scope = self.focused.scope if isinstance(self.focused, LineView) else None
        self.ask(HelpScreen(scope))

    def do_command(self, argument: str) -> None:
        self.bar.ask(Purpose.COMMAND, argument)

    def do_palette(self, argument: str) -> None:
        from anabranch_console.screens.palette import Palette

        self.ask(Palette(self.palette_hits()), self._do_hit)

    def palette_hits(self) -> list[Hit]:
        """Return what the palette offers: every verb, and every stream to go to."""
        from anabranch_console.screens.palette import Hit

        situation = self.situation()
        hits = []
        for verb in VERBS:
            why_not = verb.why_not(situation)
            hint = why_not or f":{verb.id} {verb.args}".rstrip()
            hits.append(Hit(verb.id, shown_keys(verb), verb.title, hint, why_not is None))
        rows = sorted(self.model.rows.values(), key=lambda row: row.position)
        return hits + [Hit(_GO_TO + r.id, "", f"Go to {r.id}", r.state) for r in rows]

    def _do_hit(self, name: str | None) -> None:
        if name is None:
            return
        if not name.startswith(_GO_TO):
            self.action_verb(name)
            return
        self._choose_stream(name.removeprefix(_GO_TO))

    def _choose_stream(self, name: str) -> bool:
        """Go to a stream's row, whatever hides it; return whether there is such a stream."""
        stream = StreamId(name)
        if stream not in self.model.rows:
            self.tell("warning", f"there is no stream {name!r} in this run")
            return False
        self.action_verb("streams")
        if self.listed.position_of(stream) is None:
            self.apply_filter("")
        position = self.listed.position_of(stream)
        if position is not None:
            self.table.put_cursor(position)
        return True

    def do_theme(self, argument: str) -> None:
        self.read_themes_again()
        names = [name for name, _ in self.themes]
        if argument:
            if argument in names:
                self.post_message(self.ThemeChosen(argument))
            else:
                self.tell("warning", f"no theme {argument!r}; there are {', '.join(names)}")
            return
        before = str(self.app.theme)
        choices = [Choice(name, str(i), title) for i, (name, title) in enumerate(self.themes, 1)]
        dialog = Choose("Theme", choices, before, preview=self._preview_theme)
        self.ask(dialog, lambda name: self._preview_theme(name or before))

    def _preview_theme(self, name: str) -> None:
        self.post_message(self.ThemeChosen(name))

    def do_full(self, argument: str) -> None:
        if self.is_full:
            self.remove_class(*_FULL_CLASSES)
        elif self.focused is self.events_pane:
            self.add_class("-full-events")
        elif self.focused is self.detail_view:
            self.add_class("-full-details")
        else:
            self.add_class("-full-streams")

    def do_details(self, argument: str) -> None:
        if self.has_class("-wide"):
            self.toggle_class("-no-details")
        else:
            self.toggle_class("-drawer")
        self.main_view.focus()

    def do_repaint(self, argument: str) -> None:
        self.post_message(self.RepaintAsked())

    def do_suspend(self, argument: str) -> None:
        """Stop this console, unless the engine would stop with it."""
        if self.model.source.hosting != "here":
            self.app.action_suspend_process()
            return
        told = "the engine runs in this console and would stand still with it"
        self.tell("warning", f"{told}; q leaves, and the streams run on")

    def do_next_pane(self, argument: str) -> None:
        self.focus_next()

    def do_previous_pane(self, argument: str) -> None:
        self.focus_previous()

    @property
    def is_full(self) -> bool:
        """Whether one pane has the whole screen."""
        return any(self.has_class(name) for name in _FULL_CLASSES)

    def do_back(self, argument: str) -> None:
        if self.selections:
            self.clear_selection()
        elif self.is_full:
            self.remove_class(*_FULL_CLASSES)
        elif self.focused is self.log_view and self.log_view.needle:
            self.log_view.find("")
        elif self.focused is not self.table:
            self.remove_class("-drawer")
            self.table.focus()
        elif self.has_class("-drawer"):
            self.remove_class("-drawer")
        elif not self.listed.filter.is_empty:
            self.apply_filter("")
        elif self.listed.marked:
            self.do_unmark("")

    def do_copy_selection(self, argument: str) -> None:
        text = self.get_selected_text()
        if text:
            self.app.copy_to_clipboard(text)
            self.tell("info", f"copied {count(len(text), 'character')}")
        else:
            self.tell("info", "nothing is selected: drag to select, y copies ids, q quits")

    # --- lists -----------------------------------------------------------------------------------

    def _move(self, verb: str) -> None:
        target = self.focused if isinstance(self.focused, LineView) else self.main_view
        target.move(verb)

    def do_down(self, argument: str) -> None:
        self._move("down")

    def do_up(self, argument: str) -> None:
        self._move("up")

    def do_page_down(self, argument: str) -> None:
        self._move("page-down")

    def do_page_up(self, argument: str) -> None:
        self._move("page-up")

    def do_first(self, argument: str) -> None:
        self._move("first")

    def do_last(self, argument: str) -> None:
        self._move("last")

    # --- the table -------------------------------------------------------------------------------

    def do_filter(self, argument: str) -> None:
        if not argument:
            self.bar.ask(Purpose.FILTER, self.listed.filter.text)
        else:
            self.apply_filter(argument)

    def apply_filter(self, text: str) -> None:
        """Show the streams that match; an empty text shows all."""
        self.listed.filter = compile_filter(text)
        self.rearrange()

    def do_sort(self, argument: str) -> None:
        if argument:
            if argument in SORTABLE:
                self._sorted_by(argument)
            else:
                self.tell("warning", f"no column {argument!r}; there are {', '.join(SORTABLE)}")
            return
        choices = [Choice(c, str(i) if i < 10 else "0", c) for i, c in enumerate(SORTABLE, 1)]
        dialog = Choose("Sort by", choices, self.listed.sort)
        self.ask(dialog, lambda column: self._sorted_by(column) if column else None)

    def _sorted_by(self, column: str) -> None:
        self.listed.set_sort(column)
        self._resorted()

    def _resorted(self) -> None:
        self.rearrange()
        self.table.refresh()

    def do_sort_left(self, argument: str) -> None:
        self.listed.step_sort(-1)
        self._resorted()

    def do_sort_right(self, argument: str) -> None:
        self.listed.step_sort(1)
        self._resorted()

    def do_reverse(self, argument: str) -> None:
        self.listed.is_reversed = not self.listed.is_reversed
        self._resorted()

    def do_mark(self, argument: str) -> None:
        self.listed.toggle_mark()
        self.table.refresh_index(self.listed.cursor_index)
        self.table.move("down")
        self.paint_table_title()

    def do_unmark(self, argument: str) -> None:
        self.listed.marked.clear()
        self.table.refresh()
        self.paint_table_title()

    # --- the chosen stream -----------------------------------------------------------------------

    def do_open(self, argument: str) -> None:
        self.remove_class("-no-details")
        self.add_class("-drawer")
        self.call_after_refresh(self.detail_view.focus)

    def do_log(self, argument: str) -> None:
        self._open_tab("log", argument)

    def do_story(self, argument: str) -> None:
        self._open_tab("story", argument)

    def do_plan(self, argument: str) -> None:
        self._open_tab("plan", argument)

    def _open_tab(self, tab: str, stream: str) -> None:
        if not stream or self._choose_stream(stream):
            self.show_tab(tab)
            self.do_open("")

    def do_next_tab(self, argument: str) -> None:
        self.show_tab(TABS[(TABS.index(self.tab) + 1) % len(TABS)])

    def do_previous_tab(self, argument: str) -> None:
        self.show_tab(TABS[(TABS.index(self.tab) - 1) % len(TABS)])

    # --- the log ---------------------------------------------------------------------------------

    def do_find(self, argument: str) -> None:
        if argument:
            self.show_tab("log")
            self.log_view.find(argument)
        else:
            self.bar.ask(Purpose.FIND, self.log_view.needle)

    def do_find_next(self, argument: str) -> None:
        self.log_view.step_hit(1)

    def do_find_previous(self, argument: str) -> None:
        self.log_view.step_hit(-1)

    def do_wrap(self, argument: str) -> None:
        self.log_view.toggle_wrap()

    def do_follow(self, argument: str) -> None:
        self.log_view.follow()

    # --- messages of the panes -------------------------------------------------------------------

    @on(StreamsTable.CursorMoved)
    def _show_chosen(self) -> None:
        self.paint_details()

    @on(StreamsTable.Scrolled)
    def _show_place(self) -> None:
        self.paint_table_title()

    @on(StreamsTable.SortAsked)
    def _sort_by_title(self, message: StreamsTable.SortAsked) -> None:
        self._sorted_by(message.column)

    @on(StreamsTable.Opened)
    def _open_chosen(self) -> None:
        self.do_open("")

    @on(LogView.Changed)
    def _show_log_standing(self) -> None:
        self.paint_tab_title()

    @on(EventsPane.Changed)
    def _show_following(self) -> None:
        is_following = self.events_pane.is_following
        told = "" if is_following else "paused, end follows"
        self.set_title(self.events_pane, "subtitle", (Span(told, "muted"),) if told else ())

    @on(Footer.Clicked)
    def _do_clicked(self, message: Footer.Clicked) -> None:
        self.action_verb(message.verb)

    @on(CommandBar.Typed)
    def _follow_typing(self, message: CommandBar.Typed) -> None:
        if message.purpose is Purpose.FILTER:
            self.apply_filter(message.text)
        elif message.purpose is Purpose.FIND:
            self.log_view.find(message.text)

    @on(CommandBar.Entered)
    def _do_entered(self, message: CommandBar.Entered) -> None:
        self._close_bar(message.purpose)
        if message.purpose is not Purpose.COMMAND:
            return
        spoken = parse_command(message.text)
        if spoken.problem:
            self.tell("warning", spoken.problem)
        elif spoken.verb is not None:
            self.action_verb(spoken.verb.id, spoken.argument)

    @on(CommandBar.Left)
    def _leave_bar(self, message: CommandBar.Left) -> None:
        if message.purpose is Purpose.FILTER:
            self.apply_filter("")
        elif message.purpose is Purpose.FIND:
            self.log_view.find("")
        self._close_bar(message.purpose)

    def _close_bar(self, purpose: Purpose) -> None:
        self.bar.close()
        (self.log_view if purpose is Purpose.FIND else self.main_view).focus()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        self.paint_footer()


def can_be_retried(phase: Phase, has_ended: bool) -> bool:
    """Whether a stream in this phase may be tried again."""
    return phase is Phase.BLOCKED or (has_ended and phase is not Phase.SUCCEEDED)
