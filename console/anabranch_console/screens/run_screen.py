"""The screen of a run: the pane that is shown, the bars around it, and the way to every verb.

The screen pulls. Ten times a second :meth:`RunScreen.advance` asks the model what changed and hands
the pane in sight its part; a view whose lines are the same as before paints nothing. What can be
done is known to whoever does it: the panes, and the other owners of verbs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, ClassVar, cast

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container
from textual.events import DescendantFocus, Key
from textual.screen import Screen

from anabranch.core.ids import StreamId
from anabranch_console.attending import Attending, Peeking
from anabranch_console.built_in_verbs import (
    BUILT_IN,
    PANES,
    TITLES,
    WAYS,
    bindings,
    taken_keys,
)
from anabranch_console.console_hooks import ConsolePlugins
from anabranch_console.containing import Contained
from anabranch_console.growing import Growing
from anabranch_console.lines import Line, Span
from anabranch_console.other_runs import OtherRuns
from anabranch_console.panes.diff import DiffPane
from anabranch_console.panes.handlers import HandlersPane
from anabranch_console.panes.history import HistoryPane
from anabranch_console.panes.log_verbs import LogVerbs
from anabranch_console.panes.pane import Pane
from anabranch_console.panes.plugin_pane import PLUGIN_PANE, PluginPane, known_of_plugins
from anabranch_console.panes.stream_actions import StreamActions
from anabranch_console.panes.stream_terminals import StreamTerminals
from anabranch_console.panes.streams import HOME, StreamsPane
from anabranch_console.places import places_of
from anabranch_console.plugged import Plugged
from anabranch_console.plugin_verbs import PluginVerbs
from anabranch_console.presenters.ending import ending_lines
from anabranch_console.presenters.header import header_line
from anabranch_console.presenters.mode_marks import has_more_than_streams, waiting_in_panes
from anabranch_console.presenters.travel_line import travel_line
from anabranch_console.registry import Registry
from anabranch_console.run_model import Changes, RunModel
from anabranch_console.screens.anywhere import Anywhere, EveryList, EveryTable
from anabranch_console.steering import Steering
from anabranch_console.taking_over import TakingOver
from anabranch_console.tallies import Tallies
from anabranch_console.the_run import TheRun
from anabranch_console.time_travel import Moment
from anabranch_console.travel import Travel
from anabranch_console.unbound import Unbound
from anabranch_console.verbs import VerbOwner
from anabranch_console.widgets.bars import Bar, Footer, ModeTabs
from anabranch_console.widgets.command_bar import CommandBar, CommandRow, Purpose
from anabranch_console.widgets.events_pane import EventsPane, entries_of
from anabranch_console.widgets.grid import Grid
from anabranch_console.widgets.line_view import LineView, Looks, TextLines
from anabranch_console.widgets.log_view import LogView
from anabranch_console.widgets.titles import Titles

_MADE_ALIKE: tuple[type[Pane[Any]], ...] = (*PANES, HandlersPane, DiffPane)
_PANE_OF: dict[str, Callable[[RunModel, Steering], Pane[Any]]] = {
    pane.name_of: cast("Any", pane) for pane in _MADE_ALIKE
}


class RunScreen(Contained, Screen[None]):
    """Lays the panes out, keeps them true, and finds who does a verb."""

    AUTO_FOCUS = "#streams-rows"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings()]

    themes: Sequence[tuple[str, str]] = ()
    """The names and titles of the themes there are; set by the app."""

    arrived: Callable[[Pane[Any]], None] = staticmethod(lambda pane: None)
    """Is told which pane is shown now; set by whoever remembers what was chosen there."""

    read_themes_again: Callable[[], None]
    """Takes up what changed in the user's own themes; set by the app."""

    def __init__(self, model: RunModel, plugged: Plugged | None = None) -> None:
        super().__init__()
        self.model = model
        self.plugged = plugged or Plugged(ConsolePlugins(), lambda: model.live_state)
        of_plugins = known_of_plugins(self.plugged, taken_keys())
        self.registry = Registry([*BUILT_IN.known.values(), *of_plugins])
        self._make_bars()
        self.steering = Steering(
            self,
            model,
            self.bar,
            self.events_pane,
            chosen_streams=self._chosen_streams,
            answered=self._go_on,
        )
        self.steering.offer_to_host = TakingOver(model, self.steering, self.advance).offer
        self.home = StreamsPane(model, self.steering, self.plugged)
        self.home.show_handlers = partial(self._show_of, HandlersPane.name_of)
        self.home.show_changes = partial(self._show_of, DiffPane.name_of)
        self.panes: dict[str, Pane[Any]] = {HOME: self.home}
        self.mode = HOME
        self.travel = Travel(model, self.steering, self._chosen_moment, self.advance)
        self.the_run = TheRun(model, self.steering)
        self._tallies = Tallies(model, self.steering)
        self.attending = Attending(model, self.steering, self.home, self.action_verb)
        self.home.looked_at = self.attending.looked_at
        self._growing = Growing(self.model, self.steering, self.home.choose)
        self._owners = self._make_owners()
        self._unbound = Unbound(self.registry, self.steering)
        self._titles = Titles()
        self._rows_seen, self._live_seen = self.plugged.rows, model.live_state

    def _make_bars(self) -> None:
        self.header = Bar(id="header")
        self.mode_tabs = ModeTabs()
        self.travel_bar = Bar(id="travel")
        self.travel_bar.background_name = "cursor"
        self.banner = Bar(id="banner")
        self.events_pane = EventsPane(self.model.state)
        self.bar = CommandRow(lambda text: self.registry.completions(text, self.completable()))
        self.footer = Footer()

    def _make_owners(self) -> dict[str, VerbOwner]:
        """Return whoever brings verbs but the panes, which are made when they are needed."""
        owners: list[VerbOwner] = [
            Anywhere(self),
            EveryList(self),
            EveryTable(self),
            PluginVerbs(
                self.plugged,
                self.steering,
                lambda name: self.go_to(f"{PLUGIN_PANE}{name}"),
                lambda: self.home.cursor,
            ),
            StreamActions(self.model, self.steering, self.home),
            StreamTerminals(self.model, self.steering, self.home, self.post_message),
            self._growing,
            OtherRuns(self.model, self.steering),
            LogVerbs(self.steering, self._log_meant, self._show_log),
            self.travel,
            self.the_run,
            self.attending,
            Peeking(self.attending),
        ]
        return {owner.name_of: owner for owner in owners}

    def compose(self) -> ComposeResult:
        yield self.header
        yield self.mode_tabs
        yield self.travel_bar
        yield self.banner
        yield self.home
        yield self.events_pane
        yield self.bar
        yield self.footer

    def on_mount(self) -> None:
        self.set_class(self.looks.glyphs.is_ascii, "-ascii")
        for known in self.registry.known.values():  # those of plugins: the others are bound above
            if known.verb.id not in BUILT_IN.known and known.verb.direct_keys:
                self.app.bind(",".join(known.verb.direct_keys), f"screen.key('{known.verb.id}')")
        self.home.details.show_tab("log")
        self._show_following()
        self.advance()

    def on_unmount(self) -> None:
        for pane in self.panes.values():
            pane.closed()

    # --- panes -----------------------------------------------------------------------------------

    @property
    def looks(self) -> Looks:
        """Palette and glyphs of the app."""
        return cast("Looks", self.app)

    @property
    def widget(self) -> Screen[None]:
        """The screen, for whoever knows it as :class:`.anywhere.RunFront`."""
        return self

    @property
    def pane(self) -> Pane[Any]:
        """The pane that is shown."""
        return self.panes[self.mode]

    def pane_of(self, mode: str) -> Pane[Any]:
        """Return a pane; it is made when it is needed first."""
        if mode not in self.panes:
            self.panes[mode] = self._made(mode)
        return self.panes[mode]

    def _made(self, mode: str) -> Pane[Any]:
        if mode.startswith(PLUGIN_PANE):
            name = mode.removeprefix(PLUGIN_PANE)
            return PluginPane(self.model, self.steering, self.plugged, name, self.command)
        pane = _PANE_OF[mode](self.model, self.steering)
        if isinstance(pane, HistoryPane):
            pane.travel_to = self.travel.to
        return pane

    def go_to(self, mode: str) -> None:
        """Show a pane."""
        pane = self.pane_of(mode)
        if mode != self.mode:
            self.pane.remove_class("-current")
            self.pane.left()
            self.mode = mode
            self.remove_class("-drawer")
            if mode == HOME:
                self.home.rearrange()  # before it is painted: another time may have other streams
            elif not pane.is_attached:
                self.mount(pane, before=self.events_pane)
            pane.add_class("-current")
            self._paint_tabs()
            self.call_after_refresh(self._arrive)
        else:
            pane.grid.focus()
        pane.arrived()

    def _arrive(self) -> None:
        self.pane.entrance.focus()
        self.arrived(self.pane)
        self._update_pane()
        self.paint_footer()

    def _update_pane(self) -> None:
        if self.pane.is_mounted:
            self.pane.update()

    def _chosen_streams(self) -> list[StreamId]:
        """Return the streams that a verb without a name is about: those of the pane, or of home."""
        here = self.pane.chosen_streams()
        return self.home.chosen_streams() if here is None else here

    def _show_of(self, mode: str, stream: StreamId) -> None:
        pane = self.pane_of(mode)
        if isinstance(pane, HandlersPane | DiffPane):
            pane.show_those_of(stream)
            self.attending.looked_at(stream)
            self.go_to(mode)

    def _log_meant(self) -> LogView:
        """Return the log of the pane that is shown, or that of the chosen stream."""
        return self.pane.log_view or self.home.log_view

    def _show_log(self) -> None:
        if self.pane.log_view is None:
            self.go_to(HOME)
        self.pane.open_log()

    def _chosen_moment(self) -> Moment | None:
        pane = self.panes.get(HistoryPane.name_of)
        row = pane.chosen if isinstance(pane, HistoryPane) else None
        return Moment(version=row.version) if row else None

    # --- verbs -----------------------------------------------------------------------------------

    def _owner(self, verb: str) -> VerbOwner:
        name = self.registry[verb].owner
        return self._owners[name] if name in self._owners else self.pane_of(name)

    def why_not(self, verb: str, argument: str = "") -> str | None:
        """Return why a verb cannot be used now, None if it can."""
        known = self.registry[verb].verb
        if known.steers and self.travel.viewing:
            return f"viewing {self.travel.viewing}: esc goes back to live"
        return known.why_not(self._owner(verb), argument)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Let a key mean what it means in this pane, and in the log only what it means there."""
        if action != "key" or not parameters:
            return super().check_action(action, parameters)
        known = self.registry[str(parameters[0])]
        if known.owner == LogVerbs.name_of:
            return isinstance(self.focused, LogView)
        return known.pane in ("", self.mode)

    def action_key(self, verb: str) -> None:
        """Do the verb of a key, unless that is the second half of one that left a question."""
        if not self.steering.is_doubled(self.registry[verb].verb.direct_keys):
            self.action_verb(verb)

    def action_verb(self, verb: str, argument: str = "") -> None:
        """Do a verb, or say why it cannot be done now; nothing while a question lies above."""
        if self.app.screen is not self:
            return
        known = self.registry[verb]
        if known.pane not in ("", self.mode) and known.verb.shows_its_pane:
            self.go_to(known.pane)
        why_not = self.why_not(verb, argument)
        if why_not is not None:
            self.steering.tell("warning", f"{known.verb.name}: {why_not}")
            return
        known.verb.do(self._owner(verb), argument)

    def command(self, line: str) -> None:
        """Do what a line of the command bar asks for."""
        spoken = self.registry.parse(line)
        if spoken.problem:
            self.steering.tell("warning", spoken.problem)
        elif spoken.verb is not None:
            self.action_verb(spoken.verb.id, spoken.argument)

    def completable(self) -> dict[str, Iterable[str]]:
        """Return what arguments of commands complete to."""
        panes = [self.pane_of(mode) for mode in {*_PANE_OF, *self.panes}]
        owners = [*self._owners.values(), *panes]
        return {name: known for owner in owners for name, known in owner.completions().items()}

    def _go_on(self, is_accepted: bool) -> None:
        """Take up what the engine has answered to a command."""
        if is_accepted:
            self.home.listed.marked.clear()
        self.advance()

    # --- keeping up ------------------------------------------------------------------------------

    def advance(self) -> Changes:
        """Pull what is new and let every pane that it concerns paint it."""
        changes = self.model.pull()
        if not changes.is_nothing:
            self._apply(changes)
        self.pane.keep_reading()
        self._hear_plugins()
        if self.model.time.past is not None and self.model.live_state is not self._live_seen:
            self._live_seen = self.model.live_state
            self._paint_travel()
            if self.mode == HistoryPane.name_of:
                self._update_pane()
        return changes

    def _apply(self, changes: Changes) -> None:
        if changes.is_other_time:
            past = self.model.time.past
            self.events_pane.show_until(past.seq if past else None)
            self._paint_travel()
        self.events_pane.state = self.model.state
        self.events_pane.add(entries_of(changes, self.model.now))
        self.paint_header()
        self._paint_banner()
        self._paint_tabs()
        if self.pane.is_mounted:
            self.pane.apply(changes)
        self.the_run.apply(changes)
        self.attending.apply(changes)
        self._growing.apply(changes)
        self._tallies.apply(changes)

    def _hear_plugins(self) -> None:
        """Show what plugins have said since, and what is wrong with one."""
        plugged, is_of_plugin = self.plugged, self.mode.startswith(PLUGIN_PANE)
        wanted = self.mode.removeprefix(PLUGIN_PANE) if is_of_plugin else ""
        if wanted != plugged.shown_pane:
            plugged.show(wanted)
        self.home.hear_plugins()
        if is_of_plugin and plugged.rows is not self._rows_seen:
            self._rows_seen = plugged.rows
            self._update_pane()
        for fault in plugged.faults():
            self.steering.tell("error", fault)

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
            rest=model.rest,
            attention=model.attentions.sum,
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

    def _paint_tabs(self) -> None:
        """Show the tabs from the first visit, or the first thing to see there, on."""
        state = self.model.state
        if self.mode != HOME or has_more_than_streams(state):
            self.mode_tabs.display = True
        if self.mode_tabs.display:
            self.mode_tabs.show_modes(WAYS, TITLES, self.mode, waiting_in_panes(state))

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

    def paint_footer(self) -> None:
        """Name the keys of the place that has the focus, those that can be used now."""
        own = getattr(self.focused, "own_keys", ())
        places = places_of(self.registry, self.mode, self.focused)
        self.footer.show_verbs(self.registry.in_footer(places, own, self.why_not))

    def set_title(self, widget: LineView | Container, side: str, line: Line) -> None:
        """Set the title or subtitle in a panel's border, if it is another one."""
        self._titles.put(widget, side, line, self.looks)

    def repaint_everything(self) -> None:
        """Paint all panes again, in new colours."""
        self._titles.forget()
        for view in self.query(LineView):
            view.refresh_everything()
        self._fit_bars()
        self._update_pane()
        self._show_following()

    # --- what happens to the parts ---------------------------------------------------------------

    @on(TextLines.Resized)
    def _fit_bars(self) -> None:
        self.paint_header()
        self._paint_banner()
        self.paint_footer()
        self._paint_tabs()
        self._paint_travel()

    @on(Grid.Opened)
    def _open_chosen_row(self) -> None:
        self.action_verb("open")

    @on(EventsPane.Changed)
    def _show_following(self) -> None:
        for side, line in self.events_pane.titles().items():
            self.set_title(self.events_pane, side, line)

    @on(Footer.Clicked)
    def _do_clicked(self, message: Footer.Clicked) -> None:
        self.action_verb(message.verb)

    @on(CommandBar.Typed)
    def _follow_typing(self, message: CommandBar.Typed) -> None:
        self._take_typed(message.purpose, message.text)

    @on(CommandBar.Entered)
    def _do_entered(self, message: CommandBar.Entered) -> None:
        self._close_bar(message.purpose)
        if message.purpose is Purpose.COMMAND:
            self.command(message.text)

    @on(CommandBar.Left)
    def _leave_bar(self, message: CommandBar.Left) -> None:
        self._take_typed(message.purpose, "")
        self._close_bar(message.purpose)

    def _take_typed(self, purpose: Purpose, text: str) -> None:
        if purpose is Purpose.FILTER:
            self.pane.apply_filter(text)
        elif purpose is Purpose.FIND:
            self._log_meant().find(text)
        elif purpose is Purpose.EVENTS:
            self.events_pane.apply_filter(text)

    def _close_bar(self, purpose: Purpose) -> None:
        self.bar.close()
        places = {Purpose.FIND: self._log_meant(), Purpose.FILTER: self.pane.grid}
        places[Purpose.EVENTS] = self.events_pane
        places.get(purpose, self.pane.entrance).focus()

    def on_key(self, event: Key) -> None:
        if event.is_printable and event.key not in self.active_bindings:
            self._unbound.pressed(event.key, event.character or "", self.mode)

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        self.paint_footer()
