"""The modes of the screen (streams, locks, history and so on) and travelling in time.

The streams are the home; every other mode is a pane that is made when it is visited first and kept
up to date only while it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from textual import on
from textual.app import ComposeResult
from textual.message import Message

from anabranch.core.model.messages import OPERATOR
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State
from anabranch.core.views.conflicts import open_conflicts, undecided
from anabranch_console.commands import whole_number
from anabranch_console.console_hooks import ConsolePlugins
from anabranch_console.panes.conflicts import ConflictsPane
from anabranch_console.panes.convergence import ConvergencePane
from anabranch_console.panes.guardian import GuardianPane
from anabranch_console.panes.history import HistoryPane
from anabranch_console.panes.locks import LocksPane
from anabranch_console.panes.messages import MessagesPane
from anabranch_console.panes.pane import Pane
from anabranch_console.panes.plugin_lines import PluginLinesPane
from anabranch_console.panes.plugins import PluginsPane
from anabranch_console.panes.resources import ResourcesPane
from anabranch_console.plugged import Plugged
from anabranch_console.presenters.columns import plugin_columns
from anabranch_console.presenters.message_lines import waits_for_operator
from anabranch_console.presenters.travel_line import travel_line
from anabranch_console.run_model import Changes, RunModel
from anabranch_console.screens.looking import LookingScreen
from anabranch_console.time_travel import Moment, Rewinder
from anabranch_console.verbs import BY_ID, Scope, Situation
from anabranch_console.widgets.bars import Bar, ModeTabs
from anabranch_console.widgets.command_bar import Purpose
from anabranch_console.widgets.grid import Grid
from anabranch_console.widgets.line_view import LineView

HOME = "streams"
_PANES: dict[str, Callable[[RunModel], Pane[Any]]] = {
    "locks": LocksPane,
    "history": HistoryPane,
    "messages": MessagesPane,
    "resources": ResourcesPane,
    "conflicts": ConflictsPane,
    "guardian": GuardianPane,
    "convergence": ConvergencePane,
    "plugins": PluginsPane,
}
MODES = (HOME, *_PANES)
PLUGIN_PANE = "pane "
_MODE_OF = {
    Scope.STREAMS: HOME,
    Scope.STREAM: HOME,
    Scope.LOG: HOME,
    Scope.LOCKS: "locks",
    Scope.HISTORY: "history",
    Scope.MESSAGES: "messages",
    Scope.RESOURCES: "resources",
    Scope.CONFLICTS: "conflicts",
    Scope.GUARDIAN: "guardian",
    Scope.CONVERGENCE: "convergence",
    Scope.PLUGINS: "plugins",
}
_NEEDS_NO_PANE = (
    *("stop", "retry", "copy", "revoke", "allow", "send", "broadcast", "requeue"),
    *("hand-back", "recover"),
    *("install", "enable-plugin", "disable-plugin", "remove-plugin", "rollback-plugins"),
)


class ModesScreen(LookingScreen):
    """Does the verbs that choose what of the run is looked at, and of which moment."""

    class Arrived(Message):
        """A state of the past was found, or why there is none."""

        def __init__(self, moment: Moment, found: State | Refusal) -> None:
            super().__init__()
            self.moment, self.found = moment, found

    def __init__(self, model: RunModel, plugged: Plugged | None = None) -> None:
        super().__init__(model)
        self.mode = HOME
        self.panes: dict[str, Pane[Any]] = {}
        self.plugged = plugged or Plugged(ConsolePlugins(), lambda: model.live_state)
        self.table.extra_columns = plugin_columns(self.plugged)
        self.mode_tabs = ModeTabs()
        self.travel_bar = Bar(id="travel")
        self.travel_bar.background_name = "cursor"
        self._rewinder = Rewinder(model.source)
        self._destination: Moment | None = None
        self._cells_seen = self.plugged.cells
        self._lines_seen = self.plugged.lines
        self._live_seen: State | None = None

    def compose(self) -> ComposeResult:
        yield from super().compose()
        yield self.mode_tabs
        yield self.travel_bar

    def on_mount(self) -> None:
        self.move_child(self.travel_bar, after=self.header)
        self.move_child(self.mode_tabs, after=self.header)

    # --- modes -----------------------------------------------------------------------------------

    @property
    def pane(self) -> Pane[Any] | None:
        """The pane of the mode, None for the streams."""
        return self.panes.get(self.mode)

    @property
    def main_view(self) -> LineView:
        return self.pane.grid if self.pane else self.table

    @property
    def detail_view(self) -> LineView:
        return self.pane.detail if self.pane else self.tab_view

    @property
    def is_home_shown(self) -> bool:
        return self.mode == HOME

    def go_to(self, mode: str) -> None:
        """Show a mode; its pane is made on the first visit."""
        if mode == self.mode:
            self.main_view.focus()
            return
        if self.pane:
            self.pane.remove_class("-current")
        self.mode = mode
        self.set_class(mode != HOME, "-away")
        self.remove_class("-drawer")
        if mode == HOME:
            self.rearrange()  # before it is painted: another time may have other streams
        if mode != HOME and mode not in self.panes:
            self.panes[mode] = self._make_pane(mode)
            self.mount(self.panes[mode], before=self.events_pane)
        if self.pane:
            self.pane.add_class("-current")
        self._paint_tabs()
        self.call_after_refresh(self._arrive)

    def plugin_names(self, kind: str) -> list[str]:
        return list(getattr(self.plugged.plugins, kind))

    def _make_pane(self, mode: str) -> Pane[Any]:
        if mode in _PANES:
            return _PANES[mode](self.model)
        return PluginLinesPane(self.model, self.plugged, mode.removeprefix(PLUGIN_PANE))

    def _arrive(self) -> None:
        self.main_view.focus()
        self._update_mode()
        self.paint_footer()

    def _update_mode(self) -> None:
        if self.pane is None:
            self.rearrange()
            self.table.refresh()
            self.paint_details()
        elif self.pane.is_mounted:
            self.pane.update_rows()

    def _paint_tabs(self) -> None:
        state = self.model.state
        has_more = bool(
            state.resources.machine
            or state.shared.head
            or len(state.locks.entries)
            or len(state.messages.messages)
            or len(state.foreseen)
            or any(p.conflicts for p in state.points.values())
            or any(s.care.outcome or s.care.remedy for s in state.streams.values())
        )
        if self.mode != HOME or has_more:
            self.mode_tabs.display = True
        if self.mode_tabs.display:
            asking = {
                "messages": state.messages.waiting(OPERATOR),
                "conflicts": sum(len(undecided(state, c)) for _, c in open_conflicts(state)),
            }
            self.mode_tabs.show_modes(MODES, self.mode, asking)

    def do_streams(self, argument: str) -> None:
        self.go_to(HOME)

    def do_locks(self, argument: str) -> None:
        self.go_to("locks")

    def do_history(self, argument: str) -> None:
        self.go_to("history")

    def do_messages(self, argument: str) -> None:
        self.go_to("messages")

    def do_convergence(self, argument: str) -> None:
        self.go_to("convergence")

    def do_resources(self, argument: str) -> None:
        self.go_to("resources")

    # --- dispatch --------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Let a key mean what it means in this mode."""
        if action == "verb" and parameters:
            home = _MODE_OF.get(BY_ID[str(parameters[0])].scope)
            return home is None or home == self.mode
        return super().check_action(action, parameters)

    def action_verb(self, verb: str, argument: str = "") -> None:
        mode = _MODE_OF.get(BY_ID[verb].scope, self.mode)
        if mode != self.mode and verb not in _NEEDS_NO_PANE:
            self.go_to(mode)
        super().action_verb(verb, argument)

    def situation(self, argument: str = "") -> Situation:
        """Return what decides which verbs can be used."""
        moment, pane = self.model.time.moment, self.pane
        locks, messages = self.model.state.locks, self.panes.get("messages")
        chosen_lock = self._chosen("locks")
        chosen_message = self._chosen("messages") if messages else None
        chosen_conflict = self._chosen("conflicts")
        return replace(
            super().situation(argument),
            has_row=bool(pane.grid.rows if pane else self.listed.order),
            viewing=moment.words if moment else "",
            has_lock=bool(argument) or bool(chosen_lock and chosen_lock.grants),
            has_violation=any(
                not v.is_allowed for known in locks.violations.values() for v in known
            ),
            has_dead_letter=bool(argument) or bool(chosen_message and chosen_message.died),
            has_message_to_operator=bool(argument)
            or bool(chosen_message and waits_for_operator(chosen_message)),
            has_version=bool(argument) or self._chosen("history") is not None,
            has_conflict=bool(argument) or bool(chosen_conflict and chosen_conflict.waits),
            has_foreseen=bool(chosen_conflict and chosen_conflict.is_foreseen),
        )

    def _chosen(self, mode: str) -> Any:
        """Return the row that is chosen in a mode, None if another mode is shown."""
        return self.panes[mode].chosen if self.mode == mode and mode in self.panes else None

    # --- what looks differently in a pane --------------------------------------------------------

    def do_filter(self, argument: str) -> None:
        if self.pane is None or argument:
            super().do_filter(argument)
        else:
            self.bar.ask(Purpose.FILTER, self.pane.filter.text)

    def apply_filter(self, text: str) -> None:
        if self.pane is None:
            super().apply_filter(text)
        else:
            self.pane.apply_filter(text)

    def do_back(self, argument: str) -> None:
        if self.selections or self.is_full:
            super().do_back(argument)
        elif self.model.time.past is not None:
            self.do_live("")
        elif self.pane is None:
            super().do_back(argument)
        elif self.focused is not self.main_view or self.has_class("-drawer"):
            self.remove_class("-drawer")
            self.main_view.focus()
        elif self.pane.filter.text:
            self.apply_filter("")
        else:
            self.go_to(HOME)

    def footer_scopes(self) -> Sequence[Scope]:
        if self.pane is None:
            return super().footer_scopes()
        travel = (Scope.TRAVEL,) if self.mode == "history" else ()
        return (Scope.TABLES, self.pane.scope, *travel, Scope.ANYWHERE)

    @on(Grid.Opened)
    def _open_chosen_row(self) -> None:
        self.do_open("")

    def repaint_everything(self) -> None:
        super().repaint_everything()
        self._update_mode()
        self._paint_tabs()
        self._paint_travel()

    def fit_bars(self) -> None:
        super().fit_bars()
        self._paint_tabs()
        self._paint_travel()

    # --- keeping up ------------------------------------------------------------------------------

    def _hear_plugins(self) -> None:
        """Show what plugins have said since, and what is wrong with one."""
        plugged = self.plugged
        wanted = self.mode.removeprefix(PLUGIN_PANE) if self.mode not in MODES else ""
        if wanted != plugged.shown_pane:
            plugged.show(wanted)
        if plugged.cells is not self._cells_seen:
            self._cells_seen = plugged.cells
            self.table.forget_strips()
            self.table.refresh()
        if self.mode not in MODES and plugged.lines is not self._lines_seen:
            self._lines_seen = plugged.lines
            self._update_mode()
        for fault in plugged.faults():
            self.tell("error", fault)

    def advance(self) -> Changes:
        changes = super().advance()
        self._hear_plugins()
        if self.model.time.past is not None:
            live = self.model.live_state
            if live is not self._live_seen:
                self._live_seen = live
                self._paint_travel()
                if self.mode == "history":
                    self._update_mode()
        return changes

    def apply(self, changes: Changes) -> None:
        if changes.is_other_time:
            past = self.model.time.past
            self.events_pane.show_until(past.seq if past else None)
            self._paint_travel()
        super().apply(changes)
        self._paint_tabs()
        if self.pane and self.pane.is_mounted:
            self.pane.update_rows()

    # --- travelling ------------------------------------------------------------------------------

    def _paint_travel(self) -> None:
        source = self.model.time
        self.set_class(source.past is not None, "-past")
        if source.past is None or source.moment is None:
            self.travel_bar.display = False
            return
        self.travel_bar.display = True
        live, width = self.model.live_state, self.size.width
        line = travel_line(source.moment, source.past, live, self.looks.glyphs, width)
        self.travel_bar.show([line])

    def do_travel(self, argument: str) -> None:
        row = self._chosen("history")
        moment = Moment(version=row.version) if row and not argument else _moment(argument)
        if moment is None:
            self.tell("warning", f"{argument!r} is no moment: a version, or event and its number")
        else:
            self.travel_to(moment)

    def travel_to(self, moment: Moment) -> None:
        """Find the state of a moment, on a thread of its own, and show it."""
        self._destination = moment
        self.run_worker(partial(self._rewind, moment), group="travel", exclusive=True, thread=True)

    def _rewind(self, moment: Moment) -> None:
        try:
            found = self._rewinder.state_at(moment)
        except Exception as error:
            found = Refusal(f"the past cannot be read: {error}", "anabranch doctor looks into it")
        self.post_message(self.Arrived(moment, found))

    @on(Arrived)
    def _show_past(self, message: Arrived) -> None:
        if message.moment != self._destination:
            return
        self._destination = None
        if isinstance(message.found, Refusal):
            self.tell("warning", f"{message.found.reason}; {message.found.hint}")
            return
        self.model.time.show(message.moment, message.found)
        self.advance()

    def do_live(self, argument: str) -> None:
        self._destination = None
        self.model.time.show_live()
        self.advance()

    # --- versions --------------------------------------------------------------------------------

    def do_version(self, argument: str) -> None:
        if not argument:
            self.bar.ask(Purpose.COMMAND, "version ")
            return
        self.call_after_refresh(self._choose_version, argument)

    def _choose_version(self, argument: str) -> None:
        history = self.panes["history"]
        assert isinstance(history, HistoryPane)
        history.update_rows()
        number = _number(argument)
        if number is not None and history.index_of_version(number) is None:
            history.apply_filter("")
        index = history.index_of_version(number) if number is not None else None
        if index is None:
            head = self.model.live_state.shared.head
            self.tell("warning", f"there is no version {argument}; the newest is {head}")
            return
        history.grid.put_cursor(index)
        self._travel_along()

    def do_older(self, argument: str) -> None:
        self._step(-1)

    def do_newer(self, argument: str) -> None:
        self._step(1)

    def _step(self, versions: int) -> None:
        history = self.panes["history"]
        assert isinstance(history, HistoryPane)
        history.step(versions)
        self._travel_along()

    def _travel_along(self) -> None:
        """While the past is shown, show the version that is chosen now."""
        row, moment = self._chosen("history"), self.model.time.moment
        if row and moment and moment.version != row.version:
            self.travel_to(Moment(version=row.version))


def _number(text: str) -> int | None:
    return whole_number(text.strip().removeprefix("v"))


def _moment(argument: str) -> Moment | None:
    word, _, rest = argument.strip().partition(" ")
    if word in ("event", "seq"):
        number = _number(rest)
        return None if number is None else Moment(seq=number)
    number = _number(argument)
    return None if number is None else Moment(version=number)
