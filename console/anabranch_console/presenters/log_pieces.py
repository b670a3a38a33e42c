"""Lines of a log as they are painted: in pieces where they wrap, in colours, and what is found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from anabranch.core.patterns import Pattern, PatternRefused, compiled, literal
from anabranch.engine.log_colours import Look, Runs
from anabranch_console.lines import Line, Span, hard_wrap


class Piece(NamedTuple):
    """A part of a line that is wrapped: of which line, and from which of its characters on."""

    line: int
    start: int
    text: str


def pieces_of(index: int, line: str, width: int) -> Iterator[Piece]:
    """Yield a line in pieces of at most so many cells."""
    start = 0
    for text in hard_wrap(line, width):
        yield Piece(index, start, text)
        start += len(text)


def in_colours(text: str, start: int, runs: Runs) -> Line:
    """Return a text in its colours; it begins with a line's character ``start``."""
    if not runs:
        return (Span(text, "text"),)
    ends = [*(run.start - start for run in runs[1:]), len(text)]
    first = Span(text[: max(runs[0].start - start, 0)], "text")
    spans = [
        Span(text[max(run.start - start, 0) : max(end, 0)], _style_of(run.look))
        for run, end in zip(runs, ends, strict=True)
    ]
    return tuple(span for span in (first, *spans) if span.text) or (Span(""),)


def _style_of(look: Look) -> str:
    parts = [f"log.{look.hue}" if look.hue else "text"]
    parts += ["bold"] if look.is_bold else []
    parts += ["underlined"] if look.is_underlined else []
    return "+".join(parts)


def pattern_of(needle: str) -> Pattern | None:
    """Return what is to be found: a text, or of ``re:`` a regular expression; None for nothing."""
    if not needle:
        return None
    with suppress(PatternRefused):
        if needle.startswith("re:"):
            return compiled(needle[len("re:") :], ignores_case=True)
    with suppress(PatternRefused):
        return literal(needle, ignores_case=True)
    return None
