"""What every pane has: a grid of rows, a panel about the chosen one, a filter, and its verbs.

The screen keeps one pane in sight and tells it what has changed; a pane that is hidden is brought
up to date when somebody goes there.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import ClassVar, Generic, NamedTuple, Protocol, TypeVar, cast

from textual import on
from textual.app import App
from textual.containers import Container, Horizontal

from anabranch.core.ids import StreamId
from anabranch_console.containing import Contained
from anabranch_console.glyphs import Glyphs
from anabranch_console.lines import Line, Span
from anabranch_console.presenters.grid_columns import Column
from anabranch_console.presenters.wording import safe
from anabranch_console.run_model import Changes, RunModel
from anabranch_console.steering import Steering
from anabranch_console.verbs import VerbOwner
from anabranch_console.widgets.grid import Grid
from anabranch_console.widgets.line_view import LineView, Looks
from anabranch_console.widgets.log_view import LogView

Row = TypeVar("Row")
_ABOUT_A_STREAM = (("recover", "g"), ("stop", "s"), ("retry", "r"))


class Titled(Protocol):
    """A screen that paints titles into borders, and only those that have changed."""

    def set_title(self, widget: LineView | Container, side: str, line: Line) -> None: ...
    def paint_footer(self) -> None: ...


class Filter(Protocol):
    """What was typed, and which word of it was not understood."""

    @property
    def text(self) -> str: ...
    @property
    def problem(self) -> str: ...
    @property
    def is_empty(self) -> bool: ...


class MenuItem(NamedTuple):
    """One thing that can be done with what is chosen: a verb, its key in the menu, its argument."""

    verb: str
    key: str
    argument: str = ""
    detail: str = ""


class Pane(Contained, Horizontal, VerbOwner, Generic[Row]):
    """One pane of the screen.

    It is reached by its name and its aliases, and by a digit or the key that is its ``way``;
    ``full_title`` says in help what it shows.

    Args:
        model: the run.
        steering: what its verbs act with.
        columns: what there is to show of a row.
        key: what a row is known by.
        place: what its widgets are named by, where that is not its own name.
    """

    title: str
    full_title: ClassVar[str] = ""
    aliases: ClassVar[tuple[str, ...]] = ()
    way: ClassVar[str] = ""
    nothing_to_do: ClassVar[str] = "nothing can be done with what is chosen here"

    def __init__(
        self,
        model: RunModel,
        steering: Steering,
        columns: Sequence[Column[Row]],
        key: Callable[[Row], Hashable],
        place: str = "",
    ) -> None:
        self.place = place or self.name_of
        super().__init__(id=f"mode-{self.place}", classes="mode")
        self.model = model
        self.steering = steering
        self.grid: Grid[Row] = Grid(columns, key, id=f"{self.place}-rows")
        self.grid.verbs_of = self.name_of

    # --- what subclasses say ---------------------------------------------------------------------

    @property
    def detail_view(self) -> LineView:
        """The panel about what is chosen."""
        raise AssertionError

    @property
    def entrance(self) -> LineView:
        """What has the focus when somebody comes here, or has typed a command."""
        return self.grid

    @property
    def log_view(self) -> LogView | None:
        """The log that the pane has, if any."""
        return None

    def open_log(self) -> None:
        """Bring that log into sight."""

    def keep_reading(self) -> None:
        """Take up what was written into a log that is in sight."""

    @property
    def filter(self) -> Filter:
        """The filter that rows have to pass."""
        raise AssertionError

    @property
    def total(self) -> int:
        """How many rows there are, those that the filter hides too."""
        raise AssertionError

    def apply_filter(self, text: str) -> None:
        """Show the rows that match; an empty text shows all."""
        raise AssertionError

    def update(self) -> None:
        """Show what is so now: paint only what looks different."""
        raise AssertionError

    def paint_detail(self) -> None:
        """Tell about the chosen row, if the panel can be seen."""
        raise AssertionError

    def apply(self, changes: Changes) -> None:
        """Take up what has changed while the pane is in sight."""
        self.update()

    def standing(self) -> Line:
        """Return what the title says beside the number of rows."""
        return ()

    def marks(self) -> str:
        """Return what the border says of rows that are marked."""
        return ""

    def arrived(self) -> None:
        """Take up that somebody has come here."""

    def left(self) -> None:
        """Let go of what is only needed while the pane is in sight."""

    def step_back(self) -> bool:
        """Undo what only this pane knows of; return whether there was anything."""
        return False

    def closed(self) -> None:
        """Let go of what is open, as the console is about to close."""

    def menu(self) -> list[MenuItem]:
        """Return what can be done with what is chosen."""
        return []

    @property
    def menu_title(self) -> str:
        """The title of the menu."""
        return f"Actions in {self.title.lower()}"

    def chosen_streams(self) -> list[StreamId] | None:
        """Return the streams that a verb is about here; None if the pane is not about streams."""
        return None

    # --- what is seen ----------------------------------------------------------------------------

    @property
    def glyphs(self) -> Glyphs:
        """The signs of the app."""
        return cast("Looks", cast("App[object]", self.app)).glyphs

    @property
    def is_in_sight(self) -> bool:
        """Whether it is the pane that is shown."""
        return self.has_class("-current")

    @property
    def chosen(self) -> Row | None:
        """The row under the cursor; None while the pane is out of sight, as nobody points at it."""
        return self.grid.chosen if self.is_in_sight else None

    def open_details(self) -> None:
        """Go to the panel about what is chosen, which may have been hidden."""
        self.screen.remove_class("-no-details")
        self.screen.add_class("-drawer")
        self.call_after_refresh(self.detail_view.focus)

    def set_title(self, widget: LineView | Container, side: str, line: Line) -> None:
        """Set a title in a border, if it is another one."""
        cast("Titled", self.screen).set_title(widget, side, line)

    def paint_titles(self) -> None:
        """Say how many rows there are, by which filter, which are in sight, which are marked."""
        grid, wanted, dot = self.grid, self.filter, f" {self.glyphs.separator} "
        shown = len(grid.rows)
        spans = [Span(self.title, "title")]
        if wanted.is_empty:
            spans.append(Span(f" {self.total}", "muted"))
        else:
            spans += [Span(f" {shown} of {self.total}", "text"), Span(dot, "muted")]
            spans.append(Span(f"/{safe(wanted.text)}", "accent"))
            if wanted.problem:
                spans.append(Span(f"{dot}{safe(wanted.problem)}", "level.warning"))
        self.set_title(grid, "title", (*spans, *self.standing()))
        last = min(grid.top + grid.visible_lines, shown)
        place = f"{grid.top + 1}-{last} of {shown}" if shown > grid.visible_lines else ""
        below = dot.join(part for part in (self.marks(), place) if part)
        self.set_title(grid, "subtitle", (Span(below, "muted"),) if below else ())
        self.name_keys()

    def name_keys(self) -> None:
        """Have the footer name what can be done with what is chosen now."""
        if self.is_in_sight:
            cast("Titled", self.screen).paint_footer()

    @on(Grid.CursorMoved)
    def _take_other_choice(self) -> None:
        self.another_is_chosen()

    def another_is_chosen(self) -> None:
        """Tell about the row that is chosen now."""
        self.paint_titles()
        self.paint_detail()

    @on(Grid.Changed)
    def _others_are_visible(self) -> None:
        self.paint_titles()

    # --- for subclasses --------------------------------------------------------------------------

    def menu_of_stream(self, stream: StreamId | None) -> list[MenuItem]:
        """Return what can be done with one stream, whichever pane it is seen in."""
        name = str(stream) if stream else ""
        return [MenuItem(verb, key, name, name) for verb, key in _ABOUT_A_STREAM]
