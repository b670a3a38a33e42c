"""A pane whose rows are filtered by their text, and whose panel tells about the chosen one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar, TypeVar

from textual import on
from textual.app import ComposeResult

from anabranch_console.lines import Line, Span
from anabranch_console.panes.pane import Filter, Pane
from anabranch_console.presenters.grid_columns import Column
from anabranch_console.run_model import RunModel
from anabranch_console.steering import Steering
from anabranch_console.text_filter import TextFilter, cells_of, compile_text_filter, keys_of
from anabranch_console.widgets.line_view import LineView, TextLines

Row = TypeVar("Row")


class GridPane(Pane[Row]):
    """Subclasses say what the rows are and what the panel says about one."""

    when_empty: ClassVar[str]

    def __init__(
        self,
        model: RunModel,
        steering: Steering,
        columns: Sequence[Column[Row]],
        key: Callable[[Row], Hashable],
        place: str = "",
    ) -> None:
        super().__init__(model, steering, columns, key, place)
        self.detail = TextLines(id=f"{self.place}-detail", classes="panel detail")
        self.detail.verbs_of = self.name_of
        self._filter = TextFilter()
        self._keys = keys_of(columns)
        self._all: Sequence[Row] = ()
        self._known: object = None

    def compose(self) -> ComposeResult:
        yield self.grid
        yield self.detail

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
        """Return what the panel says about the chosen row, or about the whole if there is none."""
        raise AssertionError

    def detail_title(self, row: Row | None) -> Line:
        """Return the title of the panel beside."""
        return (Span("Details", "title"),)

    def before_update(self) -> None:
        """Take what columns and details are shown with from the model."""

    # --- keeping up ------------------------------------------------------------------------------

    @property
    def detail_view(self) -> LineView:
        return self.detail

    @property
    def filter(self) -> Filter:
        return self._filter

    @property
    def total(self) -> int:
        return len(self._all)

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

    def apply_filter(self, text: str) -> None:
        self._filter = compile_text_filter(text, self._keys)
        self._show_rows()
        self.paint_titles()
        self.paint_detail()

    def _show_rows(self) -> None:
        wanted, rows, empty = self._filter, self._all, self.when_empty
        if not wanted.is_empty:
            keys = self._keys
            rows = [r for r in rows if wanted.matches(self.text_of(r), cells_of(keys, r))]
            empty = "nothing matches; esc clears the filter"
        self.grid.say_when_empty((Span(f"  {empty}", "muted"),))
        self.grid.show(rows)

    def paint_titles(self) -> None:
        super().paint_titles()
        self.set_title(self.detail, "title", self.detail_title(self.chosen))

    def paint_detail(self) -> None:
        cells = self.detail.content_size.width
        if cells:
            self.detail.show(self.detail_lines(self.chosen, cells))

    def another_is_chosen(self) -> None:
        self.detail.scroll_to_line(0)
        super().another_is_chosen()

    @on(TextLines.Resized)
    def _other_width(self) -> None:
        self.detail.forget_strips()
        self.paint_detail()
