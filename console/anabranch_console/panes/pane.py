"""What every pane has: its rows or lines, a panel about what is chosen, a filter, and its verbs.

The screen keeps one pane in sight and tells it what has changed; a pane that is hidden is brought
up to date when somebody goes there.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple, Protocol, cast

from textual.app import App
from textual.containers import Container, Horizontal

from anabranch.core.ids import StreamId
from anabranch_console.containing import Contained
from anabranch_console.glyphs import Glyphs
from anabranch_console.lines import Line
from anabranch_console.run_model import Changes, RunModel
from anabranch_console.steering import Steering
from anabranch_console.verbs import VerbOwner
from anabranch_console.widgets.line_view import LineView, Looks


class Titled(Protocol):
    """A screen that paints titles into borders, and only those that have changed."""

    def set_title(self, widget: LineView | Container, side: str, line: Line) -> None: ...


class MenuItem(NamedTuple):
    """One thing that can be done with what is chosen: a verb, its key in the menu, its argument."""

    verb: str
    key: str
    argument: str = ""
    detail: str = ""


class Pane(Contained, Horizontal, VerbOwner):
    """One pane of the screen.

    It is reached by its name and its aliases; ``full_title`` says in help what it shows.

    Args:
        model: the run.
        steering: what its verbs act with.
        id: the name of the widget.
    """

    title: str
    full_title: ClassVar[str] = ""
    aliases: ClassVar[tuple[str, ...]] = ()

    def __init__(self, model: RunModel, steering: Steering, *, id: str, classes: str = "") -> None:
        super().__init__(id=id, classes=classes)
        self.model = model
        self.steering = steering

    # --- what subclasses say ---------------------------------------------------------------------

    @property
    def main_view(self) -> LineView:
        """The table that has the focus when somebody comes here."""
        raise AssertionError

    @property
    def detail_view(self) -> LineView:
        """The panel about what is chosen."""
        raise AssertionError

    @property
    def has_rows(self) -> bool:
        """Whether there is anything to open."""
        raise AssertionError

    @property
    def filter_text(self) -> str:
        """The filter as it was typed."""
        raise AssertionError

    def apply_filter(self, text: str) -> None:
        """Show the rows that match; an empty text shows all."""
        raise AssertionError

    def update(self) -> None:
        """Show what is so now: paint only what looks different."""
        raise AssertionError

    def apply(self, changes: Changes) -> None:
        """Take up what has changed while the pane is in sight."""
        self.update()

    def arrived(self) -> None:
        """Somebody has come here."""

    def step_back(self) -> bool:
        """Undo what only this pane knows of; return whether there was anything."""
        return False

    def closed(self) -> None:
        """The console is about to close."""

    nothing_to_do: ClassVar[str] = "there is nothing to be done with what is chosen here"

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

    # --- for subclasses --------------------------------------------------------------------------

    @property
    def is_in_sight(self) -> bool:
        """Whether it is the pane that is shown."""
        return self.has_class("-current")

    @property
    def glyphs(self) -> Glyphs:
        """The signs of the app."""
        return cast("Looks", cast("App[object]", self.app)).glyphs

    def open_details(self) -> None:
        """Go to the panel about what is chosen, which may have been hidden."""
        self.screen.remove_class("-no-details")
        self.screen.add_class("-drawer")
        self.call_after_refresh(self.detail_view.focus)

    def set_title(self, widget: LineView | Container, side: str, line: Line) -> None:
        """Set a title in a border, if it is another one."""
        cast("Titled", self.screen).set_title(widget, side, line)

    def menu_of_stream(self, stream: StreamId | None) -> list[MenuItem]:
        """Return what can be done with one stream, whichever pane it is seen in."""
        name = str(stream) if stream else ""
        return [MenuItem(verb, key, name, name) for verb, key in _ABOUT_A_STREAM]


_ABOUT_A_STREAM = (("recover", "g"), ("stop", "s"), ("retry", "r"))
