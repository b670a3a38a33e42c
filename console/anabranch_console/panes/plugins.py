"""The plugins: every strategy there is, how it has done, and what the plan has it for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anabranch_console.lines import Line, Span
from anabranch_console.panes.pane import MenuItem, Pane
from anabranch_console.presenters.plugin_lines import (
    BUILT_IN,
    PluginLook,
    PluginRow,
    plugin_columns,
    plugin_detail,
    plugin_rows,
    plugin_text,
    standing_of,
)
from anabranch_console.run_model import RunModel
from anabranch_console.verbs import Scope

if TYPE_CHECKING:
    from anabranch.plugin_store.listing import Listing


class PluginsPane(Pane[PluginRow]):
    """One row a strategy, those of plugins first."""

    name_of = "plugins"
    title = "Plugins"
    scope = Scope.PLUGINS
    told_when_empty = (
        "only a host of the run has strategies loaded; installed plugins stand here too"
    )

    def __init__(self, model: RunModel) -> None:
        self.look = PluginLook(model.state)
        super().__init__(model, plugin_columns(lambda: self.look), lambda row: row.key)

    def take(self, listing: Listing) -> None:
        """Show what is installed."""
        self.look.listing = listing
        if self.is_mounted:
            self.update_rows()

    def tell_doing(self, doing: str) -> None:
        """Show what the store does right now, nothing if it is done."""
        self.look.doing = doing
        if self.is_mounted:
            self.update_rows()

    def before_update(self) -> None:
        self.look.state = self.model.state
        self.look.use = self.model.source.strategy_use()
        strategies = self.model.source.strategies
        self.look.options = strategies.convergence_options if strategies is not None else {}
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

    def menu(self) -> list[MenuItem]:
        row = self.chosen
        if row is None or row.plugin == BUILT_IN:
            return []
        return [
            MenuItem("disable-plugin", "s", row.plugin, row.plugin),
            MenuItem("enable-plugin", "e", row.plugin, row.plugin),
            MenuItem("remove-plugin", "d", row.plugin, row.plugin),
        ]
