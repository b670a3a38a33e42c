"""What the verbs do. Every verb of the registry has its ``do_`` method here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future

from textual import on
from textual.events import DescendantFocus
from textual.message import Message

from anabranch.core.ids import StreamId
from anabranch.core.inputs import ApproveRun, Command, RetryStream, StopRun, StopStream
from anabranch.core.lifecycle import Phase
from anabranch.core.outcome import Refusal
from anabranch.core.state import RunPhase
from anabranch_console.filtering import compile_filter
from anabranch_console.presenters import consequences
from anabranch_console.presenters.consequences import Consequences
from anabranch_console.presenters.leaving import leaving_message, stopping_message
from anabranch_console.presenters.wording import count, safe
from anabranch_console.screens.dialogs import HOLD_OFF_SECONDS, Choice, Choose, Confirm
from anabranch_console.screens.run_view import TABS, RunView
from anabranch_console.stream_list import SORTABLE
from anabranch_console.verbs import BY_ID, Situation, parse_command
from anabranch_console.widgets.bars import Footer
from anabranch_console.widgets.command_bar import CommandBar, Purpose
from anabranch_console.widgets.events_pane import EventsPane, Note
from anabranch_console.widgets.line_view import LineView
from anabranch_console.widgets.log_view import LogView
from anabranch_console.widgets.streams_table import StreamsTable

_BY_PERSON = "asked for in the console"


class RunScreen(RunView):
    """The screen of a run with everything that can be done there."""

    hold_off_seconds = HOLD_OFF_SECONDS

    class Answered(Message):
        """The engine has answered a command."""

        def __init__(self, told: str, answer: Future[Refusal | None]) -> None:
            super().__init__()
            self.told, self.answer = told, answer

    class ThemeChosen(Message):
        """Another theme is wanted; with ``is_preview`` only to look at it."""

        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

    class Leaving(Message):
        """The console is to close."""

        def __init__(self, message: str, wants_stop: bool) -> None:
            super().__init__()
            self.message, self.wants_stop = message, wants_stop

    themes: Sequence[tuple[str, str]] = ()
    """The names and titles of the themes there are; set by the app."""

    # --- dispatch --------------------------------------------------------------------------------

    def action_verb(self, verb: str, argument: str = "") -> None:
        """Do a verb, or say why it cannot be done now."""
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
            is_read_only=self.model.source.is_read_only,
            has_stream=bool(names),
            stream_has_ended=is_known and all(s.has_ended for s in streams),
            stream_can_be_retried=not is_known
            or any(_can_be_retried(s.phase, s.has_ended) for s in streams),
            run_has_ended=state.has_ended,
            can_be_approved=state.phase is RunPhase.CONVERGED and not state.approval.is_done,
            is_stopping=state.phase is RunPhase.STOPPING,
        )

    def tell(self, level: str, text: str) -> None:
        """Say something in a toast and in the events pane."""
        severity = {"error": "error", "warning": "warning"}.get(level, "information")
        self.notify(safe(text), severity=severity, markup=False)  # type: ignore[arg-type]
        if level != "info":
            self.events_pane.add([Note(self.model.now, level, text)])

    # --- anywhere --------------------------------------------------------------------------------

    def do_help(self, argument: str) -> None:
        from anabranch_console.screens.help import HelpScreen

        scope = self.focused.scope if isinstance(self.focused, LineView) else None
        self.app.push_screen(HelpScreen(scope))

    def do_command(self, argument: str) -> None:
        self.bar.ask(Purpose.COMMAND, argument)

    def do_palette(self, argument: str) -> None:
        self.app.action_command_palette()

    def do_theme(self, argument: str) -> None:
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
        self.app.push_screen(dialog, lambda name: self._preview_theme(name or before))

    def _preview_theme(self, name: str) -> None:
        self.post_message(self.ThemeChosen(name))

    def do_full(self, argument: str) -> None:
        names = ("-full-streams", "-full-details", "-full-events")
        if any(self.has_class(name) for name in names):
            self.remove_class(*names)
        elif self.focused is self.events_pane:
            self.add_class("-full-events")
        elif self.focused is self.tab_view:
            self.add_class("-full-details")
        else:
            self.add_class("-full-streams")

    def do_details(self, argument: str) -> None:
        if self.has_class("-wide"):
            self.toggle_class("-no-details")
        else:
            self.toggle_class("-drawer")
        self.table.focus()

    def do_next_pane(self, argument: str) -> None:
        self.focus_next()

    def do_previous_pane(self, argument: str) -> None:
        self.focus_previous()

    def do_back(self, argument: str) -> None:
        full = [n for n in ("-full-streams", "-full-details", "-full-events") if self.has_class(n)]
        if self.selections:
            self.clear_selection()
        elif full:
            self.remove_class(*full)
        elif self.focused is self.log_view and self.log_view.needle:
            self.log_view.find("")
        elif self.focused is not self.table:
            self.remove_class("-drawer")
            self.table.focus()
        elif self.has_class("-drawer"):
            self.remove_class("-drawer")
        elif not self.listed.filter.is_empty:
            self.do_filter(" ")
        elif self.listed.marked:
            self.do_unmark("")

    def do_copy_selection(self, argument: str) -> None:
        text = self.get_selected_text()
        if text:
            self.app.copy_to_clipboard(text)
            self.tell("info", f"copied {count(len(text), 'character')}")
        else:
            self.tell("info", "nothing is selected: drag to select, y copies ids, q quits")

    def do_quit(self, argument: str) -> None:
        state, is_read_only = self.model.state, self.model.source.is_read_only
        if is_read_only or not state.counts.active:
            self.post_message(self.Leaving(leaving_message(state, is_read_only), False))
            return
        running = count(state.counts.active, "stream")
        choices = [
            Choice("leave", "l", "Leave them running", "the console closes, they go on"),
            Choice("stop", "s", "Stop them all", "gracefully; their work is kept"),
            Choice("cancel", "c", "Cancel", "stay here"),
        ]
        verb = "is" if state.counts.active == 1 else "are"
        self.app.push_screen(Choose(f"{running} {verb} running", choices), self._leave)

    def _leave(self, choice: str | None) -> None:
        state = self.model.state
        if choice == "leave":
            self.post_message(self.Leaving(leaving_message(state, False), False))
        elif choice == "stop":
            self.post_message(self.Leaving(stopping_message(state), True))

    # --- lists -----------------------------------------------------------------------------------

    def _move(self, verb: str) -> None:
        target = self.focused if isinstance(self.focused, LineView) else self.table
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
            return
        self.listed.filter = compile_filter(argument)
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
        self.app.push_screen(dialog, lambda column: self._sorted_by(column) if column else None)

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
        self.call_after_refresh(self.tab_view.focus)

    def do_log(self, argument: str) -> None:
        self.show_tab("log")
        self.do_open("")

    def do_story(self, argument: str) -> None:
        self.show_tab("story")
        self.do_open("")

    def do_plan(self, argument: str) -> None:
        self.show_tab("plan")
        self.do_open("")

    def do_next_tab(self, argument: str) -> None:
        self.show_tab(TABS[(TABS.index(self.tab) + 1) % len(TABS)])

    def do_previous_tab(self, argument: str) -> None:
        self.show_tab(TABS[(TABS.index(self.tab) - 1) % len(TABS)])

    def do_menu(self, argument: str) -> None:
        situation, targets = self.situation(), self.listed.targets()
        marked = len(targets) if self.listed.marked else 0
        whom = f"{marked} marked streams" if marked else str(targets[0])
        details = {"stop": whom, "retry": whom, "stop-run": "every stream", "copy": whom}
        choices = [
            Choice(verb, key, BY_ID[verb].title.rstrip("…"), details.get(verb, ""),
                   BY_ID[verb].why_not(situation))
            for verb, key in _MENU
        ]
        chosen = next((c.id for c in choices if c.why_not is None), None)
        dialog = Choose(f"Actions on {whom}", choices, chosen)
        self.app.push_screen(dialog, lambda verb: self.action_verb(verb) if verb else None)

    def do_stop(self, argument: str) -> None:
        streams = self._known(argument)
        state, now = self.model.state, self.model.now
        living = [s for s in streams if not state.streams[s].has_ended]
        if living:
            asked = consequences.of_stopping(state, living, now)
            self._after_yes(asked, [StopStream(stream=s, reason=_BY_PERSON) for s in living])

    def do_retry(self, argument: str) -> None:
        streams, state = self._known(argument), self.model.state
        found = [(s, state.streams[s]) for s in streams]
        again = [s for s, facts in found if _can_be_retried(facts.phase, facts.has_ended)]
        if again:
            asked = consequences.of_retrying(state, again)
            self._after_yes(asked, [RetryStream(stream=s, reason=_BY_PERSON) for s in again])

    def _known(self, argument: str) -> list[StreamId]:
        streams = [StreamId(argument)] if argument else self.listed.targets()
        unknown = [s for s in streams if s not in self.model.state.streams]
        if unknown:
            self.tell("warning", f"there is no stream {unknown[0]!r} in this run")
            return []
        return streams

    def do_copy(self, argument: str) -> None:
        stream = self.chosen
        if stream is None:
            return
        log = self.log_path(stream)
        work = stream.workspace.path if stream.workspace else ""
        commit = stream.result.commit if stream.result else ""
        texts = {"id": str(stream.id), "log": str(log or ""), "workspace": work, "commit": commit}
        keys = {"id": "i", "log": "l", "workspace": "w", "commit": "c"}
        choices = [
            Choice(name, keys[name], name, safe(text)[-60:], None if text else "has none yet")
            for name, text in texts.items()
        ]
        self.app.push_screen(Choose("Copy", choices), lambda name: self._copy(name, texts))

    def _copy(self, name: str | None, texts: dict[str, str]) -> None:
        if name:
            self.app.copy_to_clipboard(texts[name])
            self.tell("info", f"copied {texts[name]}")

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

    # --- the run ---------------------------------------------------------------------------------

    def do_approve(self, argument: str) -> None:
        self._after_yes(consequences.of_approving(self.model.state), [ApproveRun()])

    def do_stop_run(self, argument: str) -> None:
        asked = consequences.of_stopping_the_run(self.model.state)
        self._after_yes(asked, [StopRun(reason=_BY_PERSON)])

    def _after_yes(self, asked: Consequences, commands: Sequence[Command]) -> None:
        def answered(answer: str | None) -> None:
            if answer == "yes":
                for command in commands:
                    self.steer(command)

        self.app.push_screen(Confirm(asked, self.hold_off_seconds), answered)

    def steer(self, command: Command) -> None:
        """Send a command; the answer comes back as a message, from whatever thread."""
        told = _told(command)
        try:
            answer = self.model.source.submit(command)
        except Exception as error:
            self.tell("error", f"{told}: {type(error).__name__}: {error}")
            return
        answer.add_done_callback(lambda done: self.post_message(self.Answered(told, done)))

    @on(Answered)
    def _say_answer(self, message: Answered) -> None:
        answer = message.answer
        if answer.cancelled():
            self.tell("error", f"{message.told}: the engine has closed")
            return
        error = answer.exception()
        if error is not None:
            self.tell("error", f"{message.told}: {type(error).__name__}: {error}")
            return
        refusal = answer.result()
        if refusal is None:
            self.listed.marked.clear()
            self.tell("info", f"{message.told}: asked for")
        else:
            self.tell("warning", f"{refusal.reason}; {refusal.hint}")
        self.advance()

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
        self.set_title(self.events_pane, "subtitle", ((told, "muted"),) if told else ())  # type: ignore[arg-type]

    @on(Footer.Clicked)
    def _do_clicked(self, message: Footer.Clicked) -> None:
        self.action_verb(message.verb)

    @on(CommandBar.Typed)
    def _follow_typing(self, message: CommandBar.Typed) -> None:
        if message.purpose is Purpose.FILTER:
            self.do_filter(message.text or " ")
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
            self.do_filter(" ")
        elif message.purpose is Purpose.FIND:
            self.log_view.find("")
        self._close_bar(message.purpose)

    def _close_bar(self, purpose: Purpose) -> None:
        self.bar.close()
        (self.log_view if purpose is Purpose.FIND else self.table).focus()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        self.paint_footer()


_MENU = (("stop", "s"), ("retry", "r"), ("copy", "y"), ("story", "e"), ("stop-run", "S"))


def _can_be_retried(phase: Phase, has_ended: bool) -> bool:
    return phase is Phase.BLOCKED or (has_ended and phase is not Phase.SUCCEEDED)


def _told(command: Command) -> str:
    match command:
        case StopStream(stream=stream):
            return f"stop {stream}"
        case RetryStream(stream=stream):
            return f"retry {stream}"
        case StopRun():
            return "stop the run"
        case _:
            return "approve the result"
