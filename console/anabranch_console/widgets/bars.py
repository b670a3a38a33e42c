"""The bars at the edges: header, footer, and the banner of an ended run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
        self._fitted: tuple[Sequence[Verb[Any]], int] = ((), 0)

    def show_verbs(self, verbs: Sequence[Verb[Any]]) -> None:
        """Show verbs, as many as fit."""
        if self._fitted == (verbs, self.content_size.width):
            return
        self._fitted = (verbs, self.content_size.width)
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


_ANY_WIDTH = 1000
_SHORT = 4


def _shortened(names: Mapping[str, str], present: str) -> Iterator[tuple[dict[str, str], int]]:
    """Yield names with how far they stand apart, from roomy to tight.

    They stand closer first; then the longest are cut, one after the other, and then all of them.
    """
    cut = dict(names)
    yield cut, 2
    yield cut, 1
    others = [mode for mode in names if mode != present]
    for mode in sorted(others, key=lambda mode: -len(names[mode])):
        cut = {**cut, mode: names[mode][:_SHORT]}
        yield cut, 1
    for cells in (3, 2, 0):
        yield {mode: name if mode == present else name[:cells] for mode, name in names.items()}, 1


class ModeTabs(Bar):
    """Names the modes by their keys, the present one marked; a click goes there."""

    def __init__(self) -> None:
        super().__init__(id="modes")
        self._zones: list[tuple[int, int, str]] = []

    def show_modes(
        self,
        modes: Mapping[str, str],
        titles: Mapping[str, str],
        present: str,
        asking: Mapping[str, int],
    ) -> None:
        """Show the modes in their order; where all do not fit, all but the present one shorter.

        Args:
            modes: the keys that go there, by their names.
            titles: what they are called.
            present: the one that is shown.
            asking: how many things in a mode wait for the operator.
        """
        marks = {mode: f" {asking[mode]}" for mode in modes if asking.get(mode)}
        for names, gap in _shortened({mode: titles[mode] for mode in modes}, present):
            pieces = [(key, names[mode], marks.get(mode, "")) for mode, key in modes.items()]
            widths = [len(key) + bool(name) + len(name + mark) for key, name, mark in pieces]
            if sum(widths) + gap * len(widths) <= (self.screen.size.width or _ANY_WIDTH):
                break
        spans: list[Span] = []
        self._zones, at = [], 1
        for (mode, key), (_, name, mark), width in zip(modes.items(), pieces, widths, strict=True):
            is_present = mode == present
            between = " " if name else ""
            spans.append(Span(f"{key}{between}", "key" if is_present else "muted"))
            spans.append(Span(name, "title" if is_present else "text"))
            spans += [Span(mark, "level.warning"), Span(" " * gap)]
            self._zones.append((at, at + width, mode))
            at += width + gap
        self.show([(Span(" "), *spans)])

    def on_click(self, event: Click) -> None:
        for start, end, mode in self._zones:
            if start <= event.x < end:
                self.post_message(Footer.Clicked(mode))
