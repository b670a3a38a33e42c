"""What every mode beside the streams has: a grid, a panel about the chosen row, a filter."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar, Generic, NamedTuple, Protocol, TypeVar, cast

from textual import on
from textual.app import App, ComposeResult
from textual.containers import Horizontal

from anabranch_console.containing import Contained
from anabranch_console.glyphs import Glyphs
from anabranch_console.lines import Line, Span
from anabranch_console.presenters.grid_columns import GridColumn
from anabranch_console.run_model import RunModel
from anabranch_console.text_filter import TextFilter, compile_text_filter
from anabranch_console.verbs import Scope
from anabranch_console.widgets.grid import Grid
from anabranch_console.widgets.line_view import LineView, Looks, TextLines

Row = TypeVar("Row")


class Titled(Protocol):
    """A screen that paints titles into borders, and only those that have changed."""

    def set_title(self, widget: LineView, side: str, line: Line) -> None: ...


class MenuItem(NamedTuple):
    """One thing that can be done with the chosen row: a verb, its key in the menu, its argument."""

    verb: str
    key: str
    argument: str = ""
    detail: str = ""


class Pane(Contained, Horizontal, Generic[Row]):
    """One mode. Subclasses say what the rows are and what is told about one.

    A pane is only brought up to date while it is on the screen.
    """

    name_of: ClassVar[str]
    title: ClassVar[str]
    scope: ClassVar[Scope]
    told_when_empty: ClassVar[str]

    def __init__(
        self,
        model: RunModel,
        columns: Sequence[GridColumn[Row]],
        key: Callable[[Row], Hashable],
        place: str = "",
    ) -> None:
        super().__init__(id=f"mode-{place or self.name_of}", classes="mode")
        self.model = model
        self.filter = TextFilter()
        self.grid: Grid[Row] = Grid(columns, key, id=f"{self.name_of}-rows")
        self.grid.scope = self.scope
        self.detail = TextLines(id=f"{self.name_of}-detail", classes="panel detail")
        self.detail.scope = self.scope
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

    def menu(self) -> list[MenuItem]:
        """Return what can be done with the chosen row."""
        return []

    def before_update(self) -> None:
        """Take what columns and details are shown with from the model."""

    # --- keeping up ------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield self.grid
        yield self.detail

    @property
    def glyphs(self) -> Glyphs:
        """The signs of the app."""
        return cast("Looks", cast("App[object]", self.app)).glyphs

    @property
    def chosen(self) -> Row | None:
        """The row under the cursor."""
        return self.grid.chosen

    def update_rows(self) -> None:
        """Show what is so now: paints only what looks different."""
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
        told = "nothing matches; esc clears the filter" if wanted.tests else self.told_when_empty
        self.grid.say_when_empty((Span(f"  {told}", "muted"),))
        self.grid.show(rows)

    def apply_filter(self, text: str) -> None:
        """Show the rows that match; an empty text shows all."""
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
        screen = cast("Titled", self.screen)
        screen.set_title(grid, "title", (*spans, *self.standing()))
        last = min(grid.top + grid.visible_lines, shown)
        place = f"{grid.top + 1}-{last} of {shown}" if shown > grid.visible_lines else ""
        screen.set_title(grid, "subtitle", (Span(place, "muted"),) if place else ())
        screen.set_title(self.detail, "title", self.detail_title(self.chosen))

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
