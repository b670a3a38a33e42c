"""A pane that a plugin brings: a table with details and verbs as our own are, or just lines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from anabranch.core.ids import StreamId
from anabranch_console.console_hooks import PaneColumn, PaneRow, PaneShape, PaneVerb, RunCommand
from anabranch_console.lines import Line, Span, hard_wrap
from anabranch_console.panes.grid_pane import GridPane
from anabranch_console.panes.pane import MenuItem
from anabranch_console.plugged import Plugged
from anabranch_console.presenters.grid_columns import Column
from anabranch_console.presenters.wording import safe
from anabranch_console.registry import Known
from anabranch_console.run_model import RunModel
from anabranch_console.screens.dialogs import OWN_LETTERS
from anabranch_console.steering import Steering
from anabranch_console.verbs import Verb

PLUGIN_PANE = "pane "
"""What the names of these panes begin with."""

_FIRST_PRIORITY = 100


class PluginPane(GridPane[PaneRow]):
    """One row a line or an entry of the plugin's table, as it said them last.

    Args:
        model: the run.
        steering: what its verbs act with.
        plugged: the plugins at work.
        pane: the name of the pane.
        command: does a command of the console, as if somebody had typed it.
    """

    when_empty = "it has said nothing"

    def __init__(
        self,
        model: RunModel,
        steering: Steering,
        plugged: Plugged,
        pane: str,
        command: Callable[[str], None],
    ) -> None:
        self._plugged, self._pane, self._command = plugged, pane, command
        shape = shape_of_pane(plugged, pane)
        self.name_of = self.of_pane = f"{PLUGIN_PANE}{pane}"
        self.title = self.where = plugged.plugins.title("panes", pane)
        self.verbs = tuple(_verb(pane, verb, ()) for verb in shape.verbs)
        columns = shape.columns or (PaneColumn(self.title),)
        place = f"plugin-{list(plugged.plugins.panes).index(pane)}"
        shown = [_column(column, index) for index, column in enumerate(columns)]
        super().__init__(model, steering, shown, lambda row: row.key, place)
        self._is_table = bool(shape.columns)

    def source_of_rows(self) -> object:
        return self._plugged.rows.get(self._pane, ())

    def all_rows(self) -> Sequence[PaneRow]:
        return self._plugged.rows.get(self._pane, ())

    def text_of(self, row: PaneRow) -> str:
        return " ".join(row.cells)

    def detail_title(self, row: PaneRow | None) -> Line:
        return (Span("Details" if self._is_table else "The line", "title"),)

    def detail_lines(self, row: PaneRow | None, cells: int) -> list[Line]:
        lines = row.details if row else ()
        return [(Span(piece, "text"),) for line in lines for piece in hard_wrap(line, cells)]

    def chosen_streams(self) -> list[StreamId] | None:
        if not any(row.stream for row in self.all_rows()):
            return None
        return [StreamId(self.chosen.stream)] if self.chosen and self.chosen.stream else []

    def completions(self) -> Mapping[str, Iterable[str]]:
        return {_rows_of(self._pane): [row.key for row in self.all_rows()]}

    # --- verbs -----------------------------------------------------------------------------------

    def menu(self) -> list[MenuItem]:
        letters = iter("123456789")
        return [MenuItem(verb.id, _letter(verb) or next(letters, "")) for verb in self.verbs]

    def do(self, verb: PaneVerb, argument: str) -> None:
        """Have the plugin do one of its verbs; what it answers is shown, or done."""
        row = self.chosen.key if self.chosen else ""

        def answered(answer: str | RunCommand | None) -> None:
            self.steering.later(self._take, verb, answer)

        self._plugged.do_in_pane(self._pane, verb.name, row, argument, answered)

    def _take(self, verb: PaneVerb, answer: str | RunCommand | None) -> None:
        if isinstance(answer, RunCommand):
            self._command(answer.line)
        elif answer is None:
            self.steering.tell("warning", f"{verb.name} has failed")
        else:
            self.steering.tell("info", f"{verb.name}: {answer}")

    def refusal(self, verb: PaneVerb) -> str | None:
        """Return why a verb cannot be used on the chosen row."""
        return (self.chosen.refusals.get(verb.name) if self.chosen else None) or None


def shape_of_pane(plugged: Plugged, pane: str) -> PaneShape:
    """Return the columns and verbs of a pane."""
    return plugged.plugins.shapes.get(pane, PaneShape())


def known_of_plugins(plugged: Plugged, taken: Collection[str]) -> list[Known]:
    """Return the verbs of all panes of plugins; a key that is taken leaves them to the menu."""
    return [
        Known(
            _verb(pane, verb, taken),
            f"{PLUGIN_PANE}{pane}",
            plugged.plugins.title("panes", pane),
            f"{PLUGIN_PANE}{pane}",
        )
        for pane in plugged.plugins.panes
        for verb in shape_of_pane(plugged, pane).verbs
    ]


def _verb(pane: str, verb: PaneVerb, taken: Collection[str]) -> Verb[PluginPane]:
    return Verb(
        f"{pane}.{verb.name}",
        safe(verb.title),
        (verb.key,) if verb.key and verb.key not in taken else (),
        lambda owner, argument: owner.do(verb, argument),
        lambda owner, argument: owner.refusal(verb),
        args=safe(verb.args),
        completes=_rows_of(pane) if verb.completes == "rows" else verb.completes,
        footer=safe(verb.footer),
        steers=verb.steers,
    )


def _rows_of(pane: str) -> str:
    """Return what the completion from a pane's rows is called."""
    return f"rows of {pane}"


def _letter(verb: Verb[PluginPane]) -> str:
    return verb.keys[0] if verb.keys and verb.keys[0] not in OWN_LETTERS else ""


def _column(column: PaneColumn, index: int) -> Column[PaneRow]:
    def show(row: PaneRow) -> Span:
        style = f"level.{row.level}" if row.level else "text"
        return Span(row.cells[index] if index < len(row.cells) else "", style)

    title = safe(column.title).upper()
    return Column(title, max(column.width, 0), _FIRST_PRIORITY - index, show, column.align)
