"""The palette: type a few letters of what you want to do, or of a stream to go to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.events import Click
from textual.widgets import Input

from anabranch_console.containing import Contained
from anabranch_console.lines import Line, Span, fit
from anabranch_console.screens.asked import AskedOnce
from anabranch_console.widgets.line_view import TextLines

_KEY_CELLS = 11
_TITLE_CELLS = 36


class Hit(NamedTuple):
    """Something the palette can do; ``hint`` says how else, or why it cannot be done now."""

    id: str
    keys: str
    title: str
    hint: str
    is_usable: bool = True


def rank(text: str, title: str) -> int | None:
    """Return how well a title answers to a text, lower is better, None for not at all.

    A beginning of the title is best, then a beginning of a word, then a part of it, then its
    letters in this order.
    """
    wanted, known = text.lower().strip(), title.lower()
    if known.startswith(wanted):
        return 0
    if f" {wanted}" in known:
        return 1
    if wanted in known:
        return 2
    letters = iter(known)
    return 3 if all(letter in letters for letter in wanted.replace(" ", "")) else None


def best(text: str, hits: Sequence[Hit]) -> list[Hit]:
    """Return the hits for a text, the best first; all of them in their own order for none."""
    if not text.strip():
        return list(hits)
    found = [
        (hit.id != text.strip(), not hit.is_usable, order, index)
        for index, hit in enumerate(hits)
        if (order := rank(text, f"{hit.title} {hit.id}")) is not None
    ]
    return [hits[index] for *_, index in sorted(found)]


class _Typed(Contained, Input):
    """The input of the palette."""


class Palette(AskedOnce[str | None]):
    """Asks for one of many things by a few typed letters."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+p", "leave", show=False),
        Binding("down,tab", "step(1)", show=False, priority=True),
        Binding("up,shift+tab", "step(-1)", show=False, priority=True),
    ]
    DEFAULT_CSS = """
    Palette { align: center top; background: $ab-background 60%; }
    Palette > Container {
        width: 84; max-width: 100%; height: 20; max-height: 90%; margin-top: 2;
        border: round $ab-accent; background: $ab-background; padding: 0 2;
        border-title-color: $ab-accent; border-title-style: bold;
        border-subtitle-color: $ab-muted;
    }
    Palette.-ascii > Container { border: ascii $ab-accent; }
    Palette Input {
        height: 1; border: none; padding: 0; margin: 0 0 1 2;
        background: $ab-background; background-tint: $ab-background 0%; color: $ab-foreground;
    }
    Palette Input > .input--placeholder { color: $ab-muted; }
    Palette TextLines { height: 1fr; }
    """

    def __init__(self, hits: Sequence[Hit]) -> None:
        super().__init__()
        self._hits = hits
        self._found = list(hits)
        self._index = 0
        self.body = TextLines(id="palette-lines")
        self.body.can_focus = False

    def compose(self) -> ComposeResult:
        with Container() as box:
            yield _Typed(placeholder="what to do, or a stream", compact=True)
            yield self.body
        box.border_title = Content("Find a command")
        box.border_subtitle = Content("enter do it  esc cancel")

    def on_mount(self) -> None:
        self.set_class(self.body.looks.glyphs.is_ascii, "-ascii")
        self._draw()

    @on(Input.Changed)
    def _search(self, event: Input.Changed) -> None:
        event.stop()
        self._found, self._index = best(event.value, self._hits), 0
        self._draw()

    @on(Input.Submitted)
    def _take(self) -> None:
        if self._found:
            self.dismiss(self._found[self._index].id)

    def _draw(self) -> None:
        self.body.say_when_empty((Span("  nothing has such a name", "muted"),))
        self.body.show([self._line(hit, i) for i, hit in enumerate(self._found)])
        visible = self.body.visible_lines
        if not self.body.top <= self._index < self.body.top + visible:
            self.body.scroll_to_line(self._index - visible // 2)

    def _line(self, hit: Hit, index: int) -> Line:
        is_here = index == self._index
        style = "muted" if not hit.is_usable else "strong" if is_here else "text"
        return (
            Span(f"{self.body.looks.glyphs.cursor if is_here else ' '} ", "key"),
            Span(fit(hit.title, _TITLE_CELLS), style),
            Span(fit(hit.keys, _KEY_CELLS), "key"),
            Span(hit.hint, "muted"),
        )

    def action_step(self, step: int) -> None:
        """Highlight the next hit."""
        if self._found:
            self._index = (self._index + step) % len(self._found)
            self._draw()

    def action_leave(self) -> None:
        """Do nothing."""
        self.dismiss(None)

    def on_click(self, event: Click) -> None:
        offset = event.get_content_offset(self.body)
        index = self.body.top + offset.y if offset is not None else -1
        if 0 <= index < len(self._found):
            self.dismiss(self._found[index].id)
