"""Text with meaning, before it has colours: what presenters make and widgets paint.

A line is a tuple of spans; a span is plain text and the name of a style, for example
``Span("failed", "state.failed")``. Nothing here knows a terminal, so every presenter can be tested
by comparing values. Text is never parsed: there is no markup that data could smuggle in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from rich.cells import cell_len, split_graphemes

Align = Literal["left", "right"]


class Span(NamedTuple):
    """A piece of one line in one style."""

    text: str
    style: str = "text"


Line = tuple[Span, ...]


def plain(line: Line) -> str:
    """Return the text of a line."""
    return "".join(span.text for span in line)


def text_cells(text: str) -> int:
    """Return how many terminal cells a printable text takes, by the ruler it is painted with."""
    return len(text) if text.isascii() else cell_len(text)


def line_cells(line: Line) -> int:
    """Return how many terminal cells a line takes."""
    return sum(text_cells(span.text) for span in line)


def fit(text: str, cells: int, align: Align = "left") -> str:
    """Return ``text`` cut or padded to exactly ``cells`` cells."""
    cut = cut_right(text, cells)
    padding = " " * (cells - text_cells(cut))
    return padding + cut if align == "right" else cut + padding


def cut_right(text: str, cells: int) -> str:
    """Return ``text`` cut at its end to at most ``cells`` cells, with a mark that there is more."""
    if text_cells(text) <= cells:
        return text
    return text[: _prefix_length(text, cells - 1, least=0)] + "…" if cells > 0 else ""


def cut_left(text: str, cells: int) -> str:
    """Return ``text`` cut at its beginning, where paths are least telling."""
    if text_cells(text) <= cells:
        return text
    room, at = cells - 1, len(text)
    for start, _, width in reversed(_graphemes(text)):
        room -= width
        if room < 0:
            break
        at = start
    return "…" + text[at:]


def cut(line: Line, cells: int) -> Line:
    """Return a line that is too long cut to ``cells`` cells, with a mark that there is more."""
    if cells <= 0 or text_cells(plain(line).rstrip(" ")) <= cells:
        return line
    kept: list[Span] = []
    room = cells - 1
    for text, style in line:
        if text_cells(text) > room:
            return (*kept, Span(text[: _prefix_length(text, room, least=0)] + "…", style))
        kept.append(Span(text, style))
        room -= text_cells(text)
    return tuple(kept)


def with_style(line: Line, places: Iterable[tuple[int, int]], style: str) -> Line:
    """Return a line whose characters at some places, in their order, have another style."""
    text, spans, at = plain(line), list[Span](), 0
    for begin, end in places:
        spans += [*_between(line, at, begin), Span(text[begin:end], style)]
        at = end
    return (*spans, *_between(line, at, len(text)))


def _between(line: Line, begin: int, end: int) -> Iterable[Span]:
    at = 0
    for text, style in line:
        part = text[max(begin - at, 0) : max(end - at, 0)]
        if part:
            yield Span(part, style)
        at += len(text)


def hang(line: Line, cells: int) -> list[Line]:
    """Return a line in pieces of at most ``cells`` cells: its last span wraps below itself."""
    *label, (text, style) = line
    indent = line_cells(tuple(label))
    first, *more = wrap(text, max(cells - indent, 8))
    below = Span(" " * indent)
    return [(*label, Span(first, style)), *((below, Span(piece, style)) for piece in more)]


def wrap(text: str, cells: int) -> list[str]:
    """Return ``text`` in pieces of at most ``cells`` cells, broken at spaces where possible."""
    cells = max(cells, 1)
    pieces: list[str] = []
    rest = text
    while text_cells(rest) > cells:
        end = _prefix_length(rest, cells)
        space = rest.rfind(" ", 1, end + 1)
        cut = space if space > 0 else end
        pieces.append(rest[:cut])
        rest = rest[cut:].lstrip(" ")
    return [*pieces, rest] if rest or not pieces else pieces


def hard_wrap(text: str, cells: int) -> list[str]:
    """Return ``text`` in pieces of at most ``cells`` cells, every character kept."""
    cells = max(cells, 2)
    if text.isascii():
        return [text[i : i + cells] for i in range(0, len(text), cells)] or [""]
    pieces: list[str] = []
    begin, room = 0, cells
    for start, _, width in _graphemes(text):
        if width > room:
            pieces.append(text[begin:start])
            begin, room = start, cells
        room -= width
    return [*pieces, text[begin:]]


def _prefix_length(text: str, cells: int, least: int = 1) -> int:
    """Return how many characters of a text fit, at least ``least`` of them."""
    if text.isascii():
        return max(min(cells, len(text)), least)
    room = cells
    for start, _, width in _graphemes(text):
        room -= width
        if room < 0:
            return max(start, least)
    return len(text)


def _graphemes(text: str) -> list[tuple[int, int, int]]:
    """Return what a person sees as one sign each: its begin, its end, and its cells."""
    return split_graphemes(text)[0]


SHORTENED_BONUS = 25


class Part(NamedTuple):
    """A piece of a bar that may get shorter: variants from long to short.

    The priority rises by :data:`SHORTENED_BONUS` with every shortening, so that all parts get
    shorter before one of them goes.
    """

    priority: int
    variants: tuple[Line, ...]


def fit_parts(parts: Sequence[Part], cells: int, gap: int = 2) -> list[Line]:
    """Return one variant of each part so that all fit; the lowest priority gives way first.

    A part that has run out of variants is left out, as an empty line.
    """
    needs = [[*(line_cells(v) + gap if v else 0 for v in part.variants), 0] for part in parts]
    choice = [0] * len(parts)
    room = cells + gap - sum(need[0] for need in needs)
    while room < 0:
        shrinkable = [i for i, part in enumerate(parts) if choice[i] < len(part.variants)]
        if not shrinkable:
            break
        weakest = min(shrinkable, key=lambda i: parts[i].priority + choice[i] * SHORTENED_BONUS)
        room += needs[weakest][choice[weakest]]
        choice[weakest] += 1
        room -= needs[weakest][choice[weakest]]
    _use_up_the_rest(parts, needs, choice, room)
    return [(*part.variants, ())[at] for part, at in zip(parts, choice, strict=True)]


def _use_up_the_rest(
    parts: Sequence[Part], needs: Sequence[Sequence[int]], choice: list[int], room: int
) -> None:
    """Give parts back the longest variant that fits after all, the dearest parts first.

    ``needs`` are the cells that each variant takes with its gap, and none for its being left out.
    """
    for index in sorted(range(len(parts)), key=lambda i: -parts[i].priority):
        free = room + needs[index][choice[index]]
        fitting = (at for at, need in enumerate(needs[index][:-1]) if need <= free)
        choice[index] = next(fitting, choice[index])
        room = free - needs[index][choice[index]]


def bar(left: Sequence[Line], right: Sequence[Line], cells: int, gap: int = 2) -> Line:
    """Return one line with ``left`` pieces at its beginning and ``right`` ones at its end."""
    left_line, right_line = _joined(left, gap), _joined(right, gap)
    space = cells - line_cells(left_line) - line_cells(right_line)
    return (*left_line, Span(" " * max(space, 0)), *right_line)


def _joined(lines: Sequence[Line], gap: int) -> Line:
    spans: list[Span] = []
    for line in lines:
        if line:
            spans += [Span(" " * gap), *line] if spans else line
    return tuple(spans)
