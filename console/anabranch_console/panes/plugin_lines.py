"""A pane that a plugin brings: its lines, as it said them last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from anabranch_console.lines import Line, Span
from anabranch_console.panes.pane import Pane
from anabranch_console.plugged import Plugged
from anabranch_console.presenters.grid_columns import GridColumn
from anabranch_console.presenters.wording import safe
from anabranch_console.run_model import RunModel
from anabranch_console.verbs import Scope


class PluginLine(NamedTuple):
    """One line and its place."""

    number: int
    text: str


class PluginLinesPane(Pane[PluginLine]):
    """One row a line."""

    name_of = "plugin-lines"
    title = "Plugin"
    scope = Scope.PLUGIN_PANE
    told_when_empty = "it has said nothing"

    def __init__(self, model: RunModel, plugged: Plugged, name: str) -> None:
        self._plugged, self._pane = plugged, name
        title = safe(plugged.plugins.title("panes", name))
        column: GridColumn[PluginLine] = GridColumn(
            title.upper(), 0, 100, lambda row: Span(row.text, "text")
        )
        place = f"plugin-{list(plugged.plugins.panes).index(name)}"
        super().__init__(model, [column], lambda row: row.number, place)

    def source_of_rows(self) -> object:
        return self._plugged.lines.get(self._pane, ())

    def all_rows(self) -> Sequence[PluginLine]:
        lines = self._plugged.lines.get(self._pane, ())
        return [PluginLine(number, text) for number, text in enumerate(lines)]

    def text_of(self, row: PluginLine) -> str:
        return row.text

    def detail_title(self, row: PluginLine | None) -> Line:
        return (Span("The line", "title"),)

    def detail_lines(self, row: PluginLine | None, cells: int) -> list[Line]:
        told = row.text if row else ""
        return [(Span(told[i : i + cells], "text"),) for i in range(0, len(told), max(cells, 1))]
