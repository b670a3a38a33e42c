"""A pane of rows: a grid, a panel about the chosen one, and a filter over their text."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar, Generic, TypeVar

from textual import on
from textual.app import ComposeResult

from anabranch_console.lines import Line, Span
from anabranch_console.panes.pane import Pane
from anabranch_console.presenters.grid_columns import GridColumn
from anabranch_console.run_model import RunModel
from anabranch_console.steering import Steering
from anabranch_console.text_filter import TextFilter, compile_text_filter
from anabranch_console.widgets.grid import Grid
from anabranch_console.widgets.line_view import LineView, TextLines

Row = TypeVar("Row")


class GridPane(Pane, Generic[Row]):
    """Subclasses say what the rows are and what is told about one."""

    when_empty: ClassVar[str]

    def __init__(
        self,
        model: RunModel,
        steering: Steering,
        columns: Sequence[GridColumn[Row]],
        key: Callable[[Row], Hashable],
        place: str = "",
    ) -> None:
        super().__init__(model, steering, id=f"mode-{place or self.name_of}", classes="mode")
        self.filter = TextFilter()
        self.grid: Grid[Row] = Grid(columns, key, id=f"{place or self.name_of}-rows")
        self.grid.verbs_of = self.name_of
        self.detail = TextLines(id=f"{place or self.name_of}-detail", classes="panel detail")
        self.detail.verbs_of = self.name_of
        self._all: Sequence[Row] = ()
        self._known: object = None

    # --- what subclasses say ---------------------------------------------------------------------

    def source_of_rows(self) -> object:
        """Return the value that the rows come from; while it is the same, they are the same."""
        raise AssertionError

    def all_rows(self) -> Sequence[Row]:
        """Return all rows in their order."""
        raise AssertionError

    def text_of(self, row: Row) -> str:
        """Return what the filter looks at."""
        raise AssertionError

    def detail_lines(self, row: Row | None, cells: int) -> list[Line]:
        """Return what is told about the chosen row, or about the whole if there is none."""
        raise AssertionError

    def standing(self) -> Line:
        """Return what the title says beside the number of rows."""
        return ()

    def detail_title(self, row: Row | None) -> Line:
        """Return the title of the panel beside."""
        return (Span("Details", "title"),)

    def before_update(self) -> None:
        """Take what columns and details are shown with from the model."""

    # --- keeping up ------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield self.grid
        yield self.detail

    @property
    def main_view(self) -> LineView:
        return self.grid

    @property
    def detail_view(self) -> LineView:
        return self.detail

    @property
    def has_rows(self) -> bool:
        return bool(self.grid.rows)

    @property
    def filter_text(self) -> str:
        return self.filter.text

    @property
    def chosen(self) -> Row | None:
        """The row under the cursor; None while the pane is out of sight, as nobody points at it."""
        return self.grid.chosen if self.is_in_sight else None

    def update(self) -> None:
        self.before_update()
        known = self.source_of_rows()
        if known is not self._known or known is None:
            self._known = known
            self._all = self.all_rows()
            self._show_rows()
        else:
            self.grid.compare()
        self.paint_titles()
        self.paint_detail()

    def _show_rows(self) -> None:
        wanted = self.filter
        rows = self._all
        if wanted.tests:
            rows = [row for row in rows if wanted.matches(self.text_of(row))]
        empty = "nothing matches; esc clears the filter" if wanted.tests else self.when_empty
        self.grid.say_when_empty((Span(f"  {empty}", "muted"),))
        self.grid.show(rows)

    def apply_filter(self, text: str) -> None:
        self.filter = compile_text_filter(text)
        self._show_rows()
        self.paint_titles()
        self.paint_detail()

    def paint_titles(self) -> None:
        """Say how many rows there are, which are visible, and what is chosen."""
        grid, dot = self.grid, f" {self.glyphs.separator} "
        shown, total = len(grid.rows), len(self._all)
        spans = [Span(self.title, "title")]
        if self.filter.tests:
            spans += [Span(f" {shown} of {total}{dot}", "text")]
            spans.append(Span(f"/{self.filter.text}", "accent"))
            if self.filter.problem:
                spans.append(Span(f"{dot}{self.filter.problem}", "level.warning"))
        else:
            spans.append(Span(f" {total}", "muted"))
        self.set_title(grid, "title", (*spans, *self.standing()))
        last = min(grid.top + grid.visible_lines, shown)
        place = f"{grid.top + 1}-{last} of {shown}" if shown > grid.visible_lines else ""
        self.set_title(grid, "subtitle", (Span(place, "muted"),) if place else ())
        self.set_title(self.detail, "title", self.detail_title(self.chosen))

    def paint_detail(self) -> None:
        """Tell about the chosen row, if the panel can be seen."""
        cells = self.detail.content_size.width
        if cells:
            self.detail.show(self.detail_lines(self.chosen, cells))

    @on(Grid.CursorMoved)
    def _another_is_chosen(self) -> None:
        self.detail.scroll_to_line(0)
        self.paint_titles()
        self.paint_detail()

    @on(Grid.Changed)
    def _others_are_visible(self) -> None:
        self.paint_titles()

    @on(TextLines.Resized)
    def _other_width(self) -> None:
        self.detail.forget_strips()
        self.paint_detail()
