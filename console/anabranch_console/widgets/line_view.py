"""A pane of lines that paints only what changed.

The library's own scrolling containers relayout the screen whenever their content grows, so this
widget scrolls by itself: it knows its first visible line, and everything it shows comes out of
:meth:`LineView.strip_at`. Subclasses keep painted strips and drop them when their line changes.
"""

from __future__ import annotations

from typing import ClassVar, Protocol, cast

from rich.segment import Segment
from textual.app import App
from textual.binding import Binding, BindingType
from textual.events import MouseScrollDown, MouseScrollUp, Resize
from textual.geometry import Region
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from anabranch_console.containing import Contained
from anabranch_console.glyphs import Glyphs
from anabranch_console.lines import Line, cut, plain
from anabranch_console.theming import Palette
from anabranch_console.verbs import MOVES

WHEEL_LINES = 3


class Looks(Protocol):
    """What the app gives its widgets to paint with."""

    palette: Palette
    glyphs: Glyphs


def move_bindings() -> list[BindingType]:
    """Return the bindings of the moves that every list knows."""
    return [
        Binding(",".join(keys), f"move('{way}')", title, show=False, id=way)
        for way, title, keys in MOVES
    ]


class LineView(Contained, Widget, can_focus=True):
    """Shows lines; scrolls by itself; text can be selected with the mouse."""

    ALLOW_SELECT = True
    BINDINGS: ClassVar[list[BindingType]] = move_bindings()
    DEFAULT_CSS = "LineView { background: $ab-background; }"

    background_name = "background"
    fixed_lines = 0
    """How many lines at the top stay when the rest scrolls."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.top = 0
        self.verbs_of = ""  # whose verbs are the nearest here
        self.empty: Line = ()

    # --- what subclasses say ---------------------------------------------------------------------

    @property
    def line_count(self) -> int:
        """How many lines there are, the fixed ones not counted."""
        return 0

    def strip_at(self, index: int) -> Strip:
        """Return a line, painted for the present width."""
        return self.blank()

    def fixed_strip(self, y: int) -> Strip:
        """Return one of the lines that do not scroll."""
        return self.blank()

    def text_at(self, index: int) -> str:
        """Return the text of a line, for copying."""
        return self.strip_at(index).text.rstrip()

    def forget_strips(self) -> None:
        """Drop every painted strip: width or colours have changed."""

    # --- painting --------------------------------------------------------------------------------

    @property
    def looks(self) -> Looks:
        """Palette and glyphs of the app."""
        return cast("Looks", cast("App[object]", self.app))

    def paint(self, line: Line, cells: int, background: str | None = None) -> Strip:
        """Return a line as a strip of exactly ``cells`` cells; what is cut off leaves a mark."""
        looks, ground = self.looks, background or self.background_name
        segments = [
            Segment(looks.glyphs.presentable(text), looks.palette.style(style, ground))
            for text, style in cut(line, cells)
            if text
        ]
        strip = Strip(segments).adjust_cell_length(cells, looks.palette.style("text", ground))
        return strip.simplify()

    def blank(self) -> Strip:
        """Return an empty line."""
        style = self.looks.palette.style("text", self.background_name)
        return Strip.blank(self.content_size.width, style)

    def render_line(self, y: int) -> Strip:
        """Return line ``y`` of the visible content; one that cannot be painted is left empty."""
        try:
            return self._visible_strip(y)
        except Exception as error:
            if not self.contain(error):
                raise
            return self.blank()

    def _visible_strip(self, y: int) -> Strip:
        if y < self.fixed_lines:
            return self.fixed_strip(y)
        index = self.top + y - self.fixed_lines
        if index >= self.line_count:
            is_first = index == 0 and bool(self.empty)
            return self.paint(self.empty, self.content_size.width) if is_first else self.blank()
        strip = self._with_selection(self.strip_at(index), index)
        return strip.apply_offsets(0, index) if self.allow_select else strip

    def _with_selection(self, strip: Strip, index: int) -> Strip:
        selection = self.text_selection
        span = selection.get_span(index) if selection is not None else None
        if span is None:
            return strip
        start, end = span
        end = strip.cell_length if end == -1 else min(end, strip.cell_length)
        style = self.looks.palette.style("match")
        parts = [strip.crop(0, start), strip.crop(start, end).apply_style(style), strip.crop(end)]
        return Strip.join(parts)

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the selected text."""
        text = "\n".join(self.text_at(index) for index in range(self.line_count))
        return selection.extract(text), "\n"

    def refresh_index(self, index: int) -> None:
        """Paint one line again, if it is visible; a hidden view is painted whole when shown."""
        y = index - self.top + self.fixed_lines
        width, height = self.content_size
        if not height:
            self.refresh()
        elif self.fixed_lines <= y < height:
            self.refresh(Region(0, y, width, 1))

    def say_when_empty(self, line: Line) -> None:
        """Set what is shown where there are no lines."""
        if line != self.empty:
            self.empty = line
            if not self.line_count:
                self.refresh()

    def refresh_everything(self) -> None:
        """Paint every line again, with new strips."""
        self.forget_strips()
        self.refresh()

    def notify_style_update(self) -> None:
        """Drop strips in the colours of the theme before."""
        super().notify_style_update()
        self.forget_strips()

    def on_resize(self, event: Resize) -> None:
        self.forget_strips()
        self.scroll_lines(0)

    # --- scrolling -------------------------------------------------------------------------------

    @property
    def visible_lines(self) -> int:
        """How many scrolling lines fit."""
        return max(self.content_size.height - self.fixed_lines, 1)

    @property
    def last_top(self) -> int:
        """The first line when scrolled to the end."""
        return max(self.line_count - self.visible_lines, 0)

    def scroll_lines(self, count: int) -> None:
        """Scroll down by ``count`` lines, up if negative."""
        self.scroll_to_line(self.top + count)

    def scroll_to_line(self, top: int) -> None:
        """Make ``top`` the first visible line, as far as that goes."""
        top = max(0, min(top, self.last_top))
        if top != self.top:
            self.top = top
            self.refresh()
            self.on_scrolled()

    def on_scrolled(self) -> None:
        """React to another first visible line."""

    def move(self, verb: str) -> None:
        """Carry out one of the moving verbs."""
        page = max(self.visible_lines - 1, 1)
        steps = {"down": 1, "up": -1, "page-down": page, "page-up": -page}
        if verb in steps:
            self.scroll_lines(steps[verb])
        else:
            self.scroll_to_line(0 if verb == "first" else self.last_top)

    def action_move(self, way: str) -> None:
        """Do what a key of a move asks for."""
        self.move(way)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        event.stop()
        self.scroll_lines(WHEEL_LINES)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        event.stop()
        self.scroll_lines(-WHEEL_LINES)


class TextLines(LineView):
    """Shows a list of lines that a presenter made."""

    class Resized(Message):
        """There is another width to cut lines to."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.lines: list[Line] = []

    @property
    def line_count(self) -> int:
        return len(self.lines)

    def show(self, lines: list[Line]) -> bool:
        """Show other lines, painting only those that differ; return whether any did."""
        before, self.lines = self.lines, lines
        if self.top > self.last_top:
            self.top = self.last_top
            self.refresh()
        changed = False
        for index in range(max(len(before), len(lines))):
            old = before[index] if index < len(before) else None
            new = lines[index] if index < len(lines) else None
            if old != new:
                changed = True
                self.refresh_index(index)
        return changed

    def on_resize(self, event: Resize) -> None:
        self.post_message(self.Resized())

    def strip_at(self, index: int) -> Strip:
        return self.paint(self.lines[index], self.content_size.width)

    def text_at(self, index: int) -> str:
        return plain(self.lines[index]) if index < len(self.lines) else ""
