"""The plugins: every strategy there is, how it has done, and what the plan has it for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from anabranch.core.ids import PointId
from anabranch.core.inputs import ChooseStrategy
from anabranch.core.views.strategies import candidates, why_not_chosen
from anabranch_console.lines import Line, Span
from anabranch_console.panes.grid_pane import GridPane
from anabranch_console.panes.pane import MenuItem
from anabranch_console.panes.plugin_changes import LATER, PluginChanges
from anabranch_console.presenters.plugin_lines import (
    BUILT_IN,
    PluginLook,
    PluginRow,
    of_changing,
    open_points,
    plugin_columns,
    plugin_detail,
    plugin_rows,
    plugin_text,
    standing_of,
)
from anabranch_console.run_model import RunModel
from anabranch_console.screens.dialogs import Choice
from anabranch_console.steering import Steering
from anabranch_console.verbs import Verb

if TYPE_CHECKING:
    from anabranch.plugin_store.listing import Listing
    from anabranch.plugin_store.store import PluginStore


class PluginsPane(GridPane[PluginRow]):
    """One row a strategy, those of plugins first."""

    name_of = where = of_pane = "plugins"
    title = "Plugins"
    full_title = "Plugins and strategies"
    when_empty = "only a host of the run has strategies loaded; installed plugins stand here too"

    def __init__(self, model: RunModel, steering: Steering) -> None:
        self.look = PluginLook(model.state)
        self.changes = PluginChanges(steering, self._show_step, self._show_listing)
        super().__init__(model, steering, plugin_columns(lambda: self.look), lambda row: row.key)

    def arrived(self) -> None:
        self.changes.look_up()

    def closed(self) -> None:
        self.changes.close()

    def _show_listing(self, listing: Listing) -> None:
        self.look.listing = listing
        self._update_if_mounted()

    def _show_step(self, step: str) -> None:
        self.look.doing = step
        self._update_if_mounted()

    def _update_if_mounted(self) -> None:
        if self.is_mounted:
            self.update()

    def before_update(self) -> None:
        self.look.state = self.model.state
        self.look.use = self.model.source.strategy_use()
        strategies = self.model.source.strategies
        self.look.options = (
            {**strategies.balancer_options, **strategies.convergence_options}
            if strategies is not None
            else {}
        )
        self.look.glyphs = self.glyphs

    def source_of_rows(self) -> object:
        return None  # calls are counted all the time

    def all_rows(self) -> Sequence[PluginRow]:
        return plugin_rows(self.model.source.strategies, self.look.listing)

    def text_of(self, row: PluginRow) -> str:
        return plugin_text(self.look, row)

    def standing(self) -> Line:
        bad = [r for r in self._all if standing_of(self.look, r) in ("set aside", "broken")]
        dot = f" {self.glyphs.separator} "
        return (Span(f"{dot}{len(bad)} set aside", "level.error"),) if bad else ()

    def detail_title(self, row: PluginRow | None) -> Line:
        return (Span("What it is, and how it does", "title"),)

    def detail_lines(self, row: PluginRow | None, cells: int) -> list[Line]:
        return plugin_detail(self.look, row, cells)

    def completions(self) -> Mapping[str, Iterable[str]]:
        return {"points": self.model.state.points}

    def menu(self) -> list[MenuItem]:
        row = self.chosen
        if row is None or row.plugin == BUILT_IN:
            return []
        return [
            MenuItem("disable-plugin", "s", row.plugin, row.plugin),
            MenuItem("enable-plugin", "e", row.plugin, row.plugin),
            MenuItem("remove-plugin", "d", row.plugin, row.plugin),
        ]

    # --- this run --------------------------------------------------------------------------------

    def choose_strategy(self, argument: str) -> None:
        """Take the chosen strategy for what has not begun: ``[POINT]``, or ask where."""
        row = self.chosen
        if row is None:
            return
        points = self._points_for(row)
        if row.kind != "convergence":
            self._choose(row, "")
        elif argument or len(points) == 1:
            self._choose(row, argument or str(points[0]))
        else:
            choices = [Choice(str(p), str(n), str(p)) for n, p in enumerate(points[:9], 1)]
            title = f"Where does {row.strategy} decide?"
            self.steering.choose(title, choices, partial(self._choose, row), str(points[0]))

    def cannot_choose(self, argument: str) -> str | None:
        """Say so if what is chosen is not a strategy, or nothing is left for it to decide."""
        row = self.chosen
        if row is None or not row.can_be_chosen:
            return "choose a convergence type, a balancer, a recovery or a fallback"
        if row.kind != "convergence":
            return self._why_not_chosen(row, "")
        points = open_points(self.model.state)
        if not points:
            return "every point has begun to merge, and keeps its type"
        return None if self._points_for(row) else self._why_not_chosen(row, points[0])

    def _points_for(self, row: PluginRow) -> list[PointId]:
        """Return the points where a convergence type can be chosen."""
        points = open_points(self.model.state)
        return [point for point in points if self._why_not_chosen(row, point) is None]

    def _why_not_chosen(self, row: PluginRow, point: str) -> str | None:
        strategies = self.model.source.strategies
        if strategies is None:  # whoever hosts the run knows
            return None
        refusal = why_not_chosen(self.model.state, strategies, self._choice(row, point))
        return None if refusal is None else f"{refusal.reason}; {refusal.hint}"

    def _choose(self, row: PluginRow, point: str) -> None:
        self.steering.steer(self._choice(row, point))

    def _choice(self, row: PluginRow, point: str) -> ChooseStrategy:
        names = {row.strategy, f"{row.plugin}:{row.strategy}"}
        strategies = self.model.source.strategies
        known = candidates(strategies, row.kind) if strategies is not None else []
        name = next((name for name in known if name in names), row.strategy)
        return ChooseStrategy(
            kind=row.kind, strategy=name, point=PointId(point), reason="chosen in the console"
        )

    # --- runs from now on ------------------------------------------------------------------------

    def install(self, argument: str) -> None:
        """Install a plugin, a name, a wheel or a folder; or have it typed."""
        source, changes = argument.strip(), self.changes
        if not source:
            self.steering.ask_in_bar("install ")
            return

        def change(store: PluginStore) -> str:
            found = store.install(source, changes.agreed, progress=changes.tell_step)
            if found is None:
                return "nothing was installed"
            return f"installed {found.name} {found.version}; {LATER}"

        changes.change(change)

    def enable(self, argument: str) -> None:
        """Have a plugin loaded again."""
        name = self._named(argument)
        if name:
            self.changes.change(lambda store: self._switched(store.enable, name, "enabled"))

    def disable(self, argument: str) -> None:
        """Keep a plugin from being loaded."""
        name = self._named(argument)
        if name:
            self.changes.change(lambda store: self._switched(store.disable, name, "disabled"))

    def _switched(self, switch: Callable[..., bool], name: str, word: str) -> str:
        changed = switch(name, progress=self.changes.tell_step)
        return f"{name} is {word}; {LATER}" if changed else f"{name} was {word} before"

    def remove_plugin(self, argument: str) -> None:
        """Remove a plugin, after a question."""
        name, changes = self._named(argument), self.changes
        if not name:
            return
        rows = [("what", f"{name}, and what only it needed"), ("undo", "B rolls it back")]
        asked = of_changing(f"Remove {name}?", rows, "remove it")

        def change(store: PluginStore) -> str:
            gone = store.remove(name, progress=changes.tell_step)
            return f"removed {gone.name} {gone.version}; B brings it back"

        self.steering.confirm(asked, lambda: changes.change(change))

    def roll_back(self, argument: str) -> None:
        """Bring back what was installed before the last change, after a question."""
        rows = [("what", "back to what was installed before the last change")]
        asked = of_changing("Roll the plugins back?", rows, "roll back")
        changes = self.changes

        def change(store: PluginStore) -> str:
            left, now = store.rollback(progress=changes.tell_step)
            return f"back to generation {now.number} (from {left}); {LATER}"

        self.steering.confirm(asked, lambda: changes.change(change))

    def _named(self, argument: str) -> str:
        """Return the plugin that is named or chosen."""
        return argument.strip() or (self.chosen.plugin if self.chosen else "")

    def cannot_change(self, argument: str) -> str | None:
        """Say so if no plugin is named or chosen that can be changed."""
        name = self._named(argument)
        if name == BUILT_IN:
            return "it is built in; a plan chooses another strategy by its name"
        return None if name else "no plugin is chosen"

    verbs = (
        Verb(
            "choose-strategy",
            "Use it for what has not begun…",
            ("c",),
            choose_strategy,
            cannot_choose,
            args="[POINT]",
            completes="points",
            footer="Choose",
            steers=True,
        ),
        Verb(
            "install",
            "Install a plugin…",
            ("I",),
            install,
            args="SOURCE",
            footer="Install",
            shows_its_pane=False,
        ),
        Verb(
            "enable-plugin",
            "Enable the plugin",
            ("E",),
            enable,
            cannot_change,
            args="[NAME]",
            shows_its_pane=False,
        ),
        Verb(
            "disable-plugin",
            "Disable the plugin",
            ("D",),
            disable,
            cannot_change,
            args="[NAME]",
            footer="Disable",
            shows_its_pane=False,
        ),
        Verb(
            "remove-plugin",
            "Remove the plugin…",
            ("x d",),
            remove_plugin,
            cannot_change,
            args="[NAME]",
            shows_its_pane=False,
        ),
        Verb(
            "rollback-plugins",
            "Roll the plugins back…",
            ("B",),
            roll_back,
            footer="Rollback",
            shows_its_pane=False,
        ),
    )
