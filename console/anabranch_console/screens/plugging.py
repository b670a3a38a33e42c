"""Plugins in the console: choosing strategies for this run, installing for the next ones.

The store works in a thread of its own, one change at a time; what it says comes back as messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, cast

from textual import on, work
from textual.message import Message

from anabranch.core.ids import PointId
from anabranch.core.inputs import ChooseStrategy
from anabranch.errors import AnabranchError
from anabranch_console.panes.plugins import PluginsPane
from anabranch_console.presenters.plugin_lines import (
    BUILT_IN,
    PluginRow,
    of_changing,
    of_installing,
    open_points,
)
from anabranch_console.screens.dialogs import Choice, Choose, Confirm
from anabranch_console.screens.looking import Level
from anabranch_console.screens.modes import PLUGIN_PANE
from anabranch_console.screens.recovering import RecoveringScreen
from anabranch_console.widgets.command_bar import Purpose

if TYPE_CHECKING:
    from anabranch.plugin_store.listing import Listing
    from anabranch.plugin_store.store import PluginStore, Proposal

_REASON = "chosen in the console"


def _known(found: Iterable[str]) -> str:
    names = ", ".join(found)
    return f"there are {names}" if names else "no plugin brings one"


_LATER = "it counts for runs begun from now on"
Change = Callable[["PluginStore"], str]


class PluggingScreen(RecoveringScreen):
    """Does the verbs of the plugins' pane."""

    class Listed(Message):
        """What is installed, as the store tells it; None if that could not be read."""

        def __init__(self, listing: Listing | None) -> None:
            super().__init__()
            self.listing = listing

    class StoreDoes(Message):
        """The store has come to another step; an empty one says that it is done."""

        def __init__(self, step: str) -> None:
            super().__init__()
            self.step = step

    class StoreAsks(Message):
        """The store wants to know whether somebody agrees."""

        def __init__(self, proposal: Proposal, answer: Future[bool]) -> None:
            super().__init__()
            self.proposal, self.answer = proposal, answer

    class ActionTold(Message):
        """A plugin's action has come to its end."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class StoreEnded(Message):
        """A change is done, or refused."""

        def __init__(self, level: Level, text: str) -> None:
            super().__init__()
            self.level, self.text = level, text

    _is_changing = False
    _is_looking_up = False
    _is_out_of_date = False
    _asked: Future[bool] | None = None

    def do_plugins(self, argument: str) -> None:
        self.go_to("plugins")
        self._look_up()

    # --- this run --------------------------------------------------------------------------------

    def do_choose_strategy(self, argument: str) -> None:
        """Take the chosen strategy for what has not begun: ``[POINT]``, or ask where."""
        row: PluginRow | None = self._chosen("plugins")
        if row is None or not row.can_be_chosen:
            self.tell("warning", "choose a convergence type, a balancer, a recovery or a fallback")
            return
        if row.kind != "convergence":
            self._choose(row, PointId(""))
            return
        points = open_points(self.model.state)
        if argument or len(points) == 1:
            self._choose(row, PointId(argument or points[0]))
        elif not points:
            self.tell("warning", "every point has begun to merge, and keeps its type")
        else:
            choices = [Choice(str(p), str(n + 1), str(p)) for n, p in enumerate(points[:9])]
            self.ask(
                Choose(f"Where does {row.strategy} decide?", choices, str(points[0])),
                lambda point: self._choose(row, PointId(point)) if point else None,
            )

    def _choose(self, row: PluginRow, point: PointId) -> None:
        names = {row.strategy, f"{row.plugin}:{row.strategy}"}
        strategies = self.model.source.strategies
        from anabranch.core.views.strategies import candidates

        known = candidates(strategies, row.kind) if strategies is not None else []
        name = next((name for name in known if name in names), row.strategy)
        self.steer(ChooseStrategy(kind=row.kind, strategy=name, point=point, reason=_REASON))

    def do_pane(self, argument: str) -> None:
        """Go to a plugin's pane: ``NAME``, or ask which."""
        panes = self.plugged.plugins.panes
        if argument and argument not in panes:
            self.tell("warning", f"there is no pane {argument!r}; {_known(panes)}")
        elif argument or len(panes) == 1:
            self.go_to(f"{PLUGIN_PANE}{argument or next(iter(panes))}")
        elif not panes:
            self.tell("info", "no plugin brings a pane")
        else:
            choices = [Choice(n, str(i), n) for i, n in enumerate(list(panes)[:9], 1)]
            self.ask(
                Choose("Which pane?", choices),
                lambda name: self.go_to(f"{PLUGIN_PANE}{name}") if name else None,
            )

    def do_do(self, argument: str) -> None:
        """Let a plugin's action happen: ``NAME [STREAM]``, or ask which."""
        name, _, stream = argument.partition(" ")
        actions = self.plugged.plugins.actions
        if name and name not in actions:
            self.tell("warning", f"there is no action {name!r}; {_known(actions)}")
        elif name:
            whom = stream or (str(self.chosen.id) if self.chosen else None)
            self.plugged.do(name, whom, self._tell_action)
        elif not actions:
            self.tell("info", "no plugin brings an action")
        else:
            choices = [
                Choice(name, str(i), name, self.plugged.plugins.title("actions", name))
                for i, name in enumerate(list(actions)[:9], 1)
            ]
            self.ask(
                Choose("Which action?", choices),
                lambda chosen: self.do_do(chosen) if chosen else None,
            )

    def _tell_action(self, told: str) -> None:
        self.post_message(self.ActionTold(told))

    # --- the store -------------------------------------------------------------------------------

    def do_install(self, argument: str) -> None:
        """Install a plugin: ``NAME``, a wheel or a folder."""
        source = argument.strip()
        if not source:
            self.bar.ask(Purpose.COMMAND, "install ")
            return

        def change(store: PluginStore) -> str:
            found = store.install(source, self._agreed, progress=self._tell_step)
            if found is None:
                return "nothing was installed"
            return f"installed {found.name} {found.version}; {_LATER}"

        self._change(change)

    def do_enable_plugin(self, argument: str) -> None:
        name = self._named(argument)
        if name:
            self._change(lambda store: self._switched(store.enable, name, "enabled"))

    def do_disable_plugin(self, argument: str) -> None:
        name = self._named(argument)
        if name:
            self._change(lambda store: self._switched(store.disable, name, "disabled"))

    def _switched(self, switch: Callable[..., bool], name: str, word: str) -> str:
        changed = switch(name, progress=self._tell_step)
        return f"{name} is {word}; {_LATER}" if changed else f"{name} was {word} before"

    def do_remove_plugin(self, argument: str) -> None:
        name = self._named(argument)
        if not name:
            return
        rows = [("what", f"{name}, and what only it needed"), ("undo", "B rolls it back")]
        asked = of_changing(f"Take {name} out?", rows, "take it out")

        def change(store: PluginStore) -> str:
            gone = store.remove(name, progress=self._tell_step)
            return f"removed {gone.name} {gone.version}; B brings it back"

        self._after_agreeing(asked, change)

    def do_rollback_plugins(self, argument: str) -> None:
        rows = [("what", "back to what was installed before the last change")]
        asked = of_changing("Roll the plugins back?", rows, "roll back")

        def change(store: PluginStore) -> str:
            left, now = store.rollback(progress=self._tell_step)
            return f"back to generation {now.number} (from {left}); {_LATER}"

        self._after_agreeing(asked, change)

    def _after_agreeing(self, asked: object, change: Change) -> None:
        dialog = Confirm(asked, self.hold_off_seconds)  # type: ignore[arg-type]
        self.ask(dialog, lambda said: self._change(change) if said == "yes" else None)

    def _named(self, argument: str) -> str:
        row: PluginRow | None = self._chosen("plugins")
        name = argument.strip() or (row.plugin if row else "")
        if not name:
            self.tell("warning", "no plugin is chosen")
        elif name == BUILT_IN:
            self.tell("warning", "it is built in; a plan chooses another strategy by its name")
            return ""
        return name

    def _change(self, change: Change) -> None:
        if self._is_changing:
            self.tell("warning", "one change at a time: the last one is not done yet")
            return
        self._is_changing = True
        self._do_change(change)

    @work(thread=True, group="plugins")
    def _do_change(self, change: Change) -> None:
        from anabranch_console.hook_checks import own_store

        try:
            told = self.StoreEnded("info", change(own_store()))
        except AnabranchError as error:
            told = self.StoreEnded("warning", "; ".join(filter(None, (error.message, error.hint))))
        except Exception as error:  # a plugin's package may bring anything
            told = self.StoreEnded("error", f"{type(error).__name__}: {error}")
        self.post_message(told)

    def _look_up(self) -> None:
        """Have listed what is installed: once more, however often it was asked for meanwhile.

        Reading it takes a while and a thread, and decisions need those too.
        """
        self._is_out_of_date = self._is_looking_up
        if not self._is_looking_up:
            self._is_looking_up = True
            self._list_installed()

    @work(thread=True, group="plugins-list")
    def _list_installed(self) -> None:
        from anabranch.plugin_store.listing import list_plugins
        from anabranch.plugin_store.places import Places

        listing = None
        try:
            listing = list_plugins(Places.of_this_python())
        finally:
            self.post_message(self.Listed(listing))

    def _tell_step(self, step: str) -> None:
        self.post_message(self.StoreDoes(step))

    def _agreed(self, proposal: Proposal) -> bool:
        answer: Future[bool] = Future()
        self.post_message(self.StoreAsks(proposal, answer))
        return answer.result()

    # --- what it says ----------------------------------------------------------------------------

    @property
    def _plugins_pane(self) -> PluginsPane | None:
        return cast("PluginsPane | None", self.panes.get("plugins"))

    @on(Listed)
    def _show_listing(self, message: Listed) -> None:
        self._is_looking_up = False
        if message.listing is not None and self._plugins_pane is not None:
            self._plugins_pane.take(message.listing)
        if self._is_out_of_date:
            self._look_up()

    @on(StoreDoes)
    def _show_step(self, message: StoreDoes) -> None:
        if self._plugins_pane is not None:
            self._plugins_pane.tell_doing(message.step)

    @on(StoreAsks)
    def _ask_to_install(self, message: StoreAsks) -> None:
        def answered(said: str | None) -> None:
            if not message.answer.done():
                message.answer.set_result(said == "yes")

        self._asked = message.answer
        dialog = Confirm(of_installing(message.proposal), self.hold_off_seconds)
        self.app.push_screen(dialog, answered)  # above whatever is open: the store waits for it

    def on_unmount(self) -> None:
        """Whoever leaves while the store asks has not agreed."""
        if self._asked is not None and not self._asked.done():
            self._asked.set_result(False)

    @on(ActionTold)
    def _say_action(self, message: ActionTold) -> None:
        self.tell("info", message.text)

    @on(StoreEnded)
    def _tell_end(self, message: StoreEnded) -> None:
        self._is_changing = False
        self._show_step(self.StoreDoes(""))
        self.tell(message.level, message.text)
        self._look_up()
