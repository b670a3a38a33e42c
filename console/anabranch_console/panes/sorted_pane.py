"""A pane whose rows can be sorted by their columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from textual import on

from anabranch_console.lines import Line, Span
from anabranch_console.panes.pane import Pane
from anabranch_console.screens.dialogs import Choice
from anabranch_console.sort_order import SortOrder
from anabranch_console.verbs import Verb
from anabranch_console.widgets.grid import Grid

Row = TypeVar("Row")


class SortedPane(Pane[Row]):
    """Subclasses say what the order is, and show the rows in it."""

    @property
    def order(self) -> SortOrder[Row]:
        """What the rows are sorted by."""
        raise AssertionError

    def rearrange(self) -> None:
        """Show the rows in their order."""
        raise AssertionError

    def order_in_words(self) -> Line:
        """Return what the title says of the order; nothing while it is the usual one."""
        order, glyphs = self.order, self.glyphs
        if order.is_usual:
            return ()
        arrow = glyphs.descending if order.is_reversed else glyphs.ascending
        return (Span(f" {glyphs.separator} by {order.sort} {arrow}", "muted"),)

    @on(Grid.SortAsked)
    def _sort_by_title(self, message: Grid.SortAsked) -> None:
        self._sort_by(message.column)

    def sort(self, argument: str) -> None:
        """Sort by a column, or ask which."""
        sortable = self.order.sortable
        if argument in sortable:
            self._sort_by(argument)
        elif argument:
            known = ", ".join(sortable)
            self.steering.tell("warning", f"no column {argument!r}; there are {known}")
        else:
            choices = [Choice(c, str(i) if i < 10 else "0", c) for i, c in enumerate(sortable, 1)]
            self.steering.choose("Sort by", choices, self._sort_by, self.order.sort)

    def _sort_by(self, column: str) -> None:
        self.order.set_sort(column)
        self._resorted()

    def take_order(self, order: Sequence[str]) -> None:
        """Sort as it was done before: a column, and ``down`` or ``up``; what is unknown is not."""
        column, way = (*order, "", "")[:2]
        if column in self.order.sortable:
            self.order.sort, self.order.is_reversed = column, way == "down"
            self._resorted()

    def step_sort(self, step: int) -> None:
        """Sort by the column to the right with 1, to the left with -1."""
        self.order.step_sort(step)
        self._resorted()

    def reverse(self, argument: str) -> None:
        """Turn the order round."""
        self.order.is_reversed = not self.order.is_reversed
        self._resorted()

    def _resorted(self) -> None:
        self.rearrange()
        self.grid.refresh()


def sorting_verbs(of: str, columns: str) -> tuple[Verb[SortedPane[Any]], ...]:
    """Return the verbs that sort; ``of`` ends their names, ``columns`` names what completes."""
    return (
        Verb(
            f"sort{of}",
            "Sort by…",
            ("o",),
            SortedPane.sort,
            args="[COLUMN]",
            completes=columns,
            footer="Sort",
        ),
        Verb(
            f"sort-left{of}",
            "Sort by the column to the left",
            ("less_than_sign",),
            lambda pane, _: pane.step_sort(-1),
        ),
        Verb(
            f"sort-right{of}",
            "Sort by the column to the right",
            ("greater_than_sign",),
            lambda pane, _: pane.step_sort(1),
        ),
        Verb(f"reverse{of}", "Reverse the order", ("O",), SortedPane.reverse),
    )
