"""The bars at the edges: header, footer, and the banner of an ended run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual.events import Click
from textual.message import Message

from anabranch_console.lines import Line, Part, Span, bar, fit_parts, line_cells
from anabranch_console.verbs import Verb, shown_key
from anabranch_console.widgets.line_view import TextLines

_RIGHT = ("palette", "help", "quit")
_DEAR = ("quit", "help", "open", "menu", "filter", "find")


class Bar(TextLines, can_focus=False):
    """One or a few lines on the panel's ground."""

    ALLOW_SELECT = False
    background_name = "panel"


class Footer(Bar):
    """Names the keys of the pane that has the focus; a click does what the key does."""

    class Clicked(Message):
        """A verb in the footer was clicked."""

        def __init__(self, verb: str) -> None:
            super().__init__()
            self.verb = verb

    def __init__(self) -> None:
        super().__init__(id="footer")
        self._zones: list[tuple[int, int, str]] = []

    def show_verbs(self, verbs: Sequence[Verb[Any]]) -> None:
        """Show verbs, as many as fit."""
        left = [v for v in verbs if v.id not in _RIGHT]
        right = sorted((v for v in verbs if v.id in _RIGHT), key=lambda v: _RIGHT.index(v.id))
        ordered = [*left, *right]
        parts = [Part(_priority(v, i), (_named(v),)) for i, v in enumerate(ordered)]
        cells = max(self.content_size.width - 2, 0)
        fitted = fit_parts(parts, cells)
        line = bar(fitted[: len(left)], fitted[len(left) :], cells)
        self._zones = _zones(line, {shown_key(v.keys[0]): v.id for v in ordered})
        self.show([(Span(" "), *line)])

    def on_click(self, event: Click) -> None:
        for start, end, verb in self._zones:
            if start <= event.x - 1 < end:
                self.post_message(self.Clicked(verb))


def _priority(verb: Verb[Any], index: int) -> int:
    return 1000 - index if verb.id in _DEAR else 500 - index


def _named(verb: Verb[Any]) -> Line:
    return (Span(shown_key(verb.keys[0]), "key"), Span(f" {verb.footer}", "muted"))


def _zones(line: Line, verbs: dict[str, str]) -> list[tuple[int, int, str]]:
    zones, at = [], 0
    for index, span in enumerate(line):
        if span.style == "key" and span.text in verbs:
            end = at + line_cells(line[index : index + 2])
            zones.append((at, end, verbs[span.text]))
        at += line_cells((span,))
    return zones


_SHORT_CELLS = 4


class ModeTabs(Bar):
    """Names the modes by their keys, the present one marked; a click goes there."""

    def __init__(self) -> None:
        super().__init__(id="modes")
        self._zones: list[tuple[int, int, str]] = []

    def show_modes(self, modes: Sequence[str], present: str, asking: Mapping[str, int]) -> None:
        """Show the modes, in the order of their digits; where all do not fit, the others short.

        Args:
            modes: their names.
            present: the one that is shown.
            asking: how many things in a mode wait for the operator.
        """
        spans: list[Span] = []
        self._zones, at = [], 1
        names = [mode.capitalize() for mode in modes]
        marks = {mode: f" {asking[mode]}" for mode in modes if asking.get(mode)}
        needed = sum(len(name) + 4 for name in names) + sum(map(len, marks.values()))
        is_tight = needed > self.screen.size.width > 0
        for digit, mode in enumerate(modes, 1):
            is_short = is_tight and mode != present
            name = mode.capitalize()[:_SHORT_CELLS] if is_short else mode.capitalize()
            is_present = mode == present
            spans.append(Span(f"{digit} ", "key" if is_present else "muted"))
            spans.append(Span(name, "title" if is_present else "text"))
            mark = marks.get(mode, "")
            spans += [Span(mark, "level.warning"), Span("  ")]
            self._zones.append((at, at + 2 + len(name + mark), mode))
            at += 4 + len(name + mark)
        self.show([(Span(" "), *spans)])

    def on_click(self, event: Click) -> None:
        for start, end, mode in self._zones:
            if start <= event.x < end:
                self.post_message(Footer.Clicked(mode))
