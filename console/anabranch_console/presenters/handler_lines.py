"""Handlers in words: the columns of their table, and what the panel says about one."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress

from anabranch.core import wording
from anabranch.engine.handler_book import Handler, HandlerState
from anabranch_console.glyphs import Glyphs
from anabranch_console.lines import Line, Span, wrap
from anabranch_console.presenters.grid_columns import Column
from anabranch_console.presenters.wording import clock, safe

PLACE = "place"
_LABEL_CELLS = 10
_LEAST_END_CELLS, _MOST_END_CELLS = 12, 40


def handler_columns(
    glyphs: Callable[[], Glyphs], wall: Callable[[], float]
) -> list[Column[Handler]]:
    """Return the columns of the handlers; those with an id can be sorted by.

    Args:
        glyphs: the signs of the app.
        wall: returns the time in seconds since 1970, until which those that run have run.
    """

    def state(handler: Handler) -> Span:
        name = handler.state
        return Span(f"{glyphs().state(name)} {name}", f"state.{name}")

    def seconds(handler: Handler) -> Span:
        style = "muted" if handler.ended else "text"
        return Span(seconds_in_short(handler.seconds(wall())), style)

    return [
        _column("#", 6, 95, lambda h: Span(str(h.place), "muted"), PLACE, is_number=True),
        _column("ITEM", 0, 100, lambda h: Span(safe(h.text), "strong"), "item"),
        _column("STATE", 12, 90, state, "state"),
        _column("SECONDS", 8, 85, seconds, "seconds", is_number=True, is_descending_first=True),
        _column("TRY", 3, 50, _tries, "tries", is_number=True, is_descending_first=True),
        _column("HOW IT ENDED", _end_cells, 70, _end, ""),
    ]


def _column(
    title: str,
    width: int | Callable[[int], int],
    priority: int,
    show: Callable[[Handler], Span],
    id: str,
    *,
    is_number: bool = False,
    is_descending_first: bool = False,
) -> Column[Handler]:
    return Column(
        title,
        width,
        priority,
        show,
        "right" if is_number else "left",
        id=id,
        sort_key=_sorted_elsewhere if id else None,
        is_descending_first=is_descending_first,
    )


def _sorted_elsewhere(handler: Handler) -> int:
    raise AssertionError("handlers are put in order where they are read")


def _end_cells(cells: int) -> int:
    return min(max(cells // 4, _LEAST_END_CELLS), _MOST_END_CELLS)


def _tries(handler: Handler) -> Span:
    return Span(str(handler.tries) if handler.tries > 1 else "", "state.recovering")


def _end(handler: Handler) -> Span:
    style = "muted" if handler.state is HandlerState.SUCCEEDED else f"state.{handler.state}"
    return Span(end_in_words(handler), style)


def end_in_words(handler: Handler) -> str:
    """Return how a handler has ended, and whether it was left so; of one that runs nothing."""
    left = "; not tried again" if handler.left_by else ""
    return f"{_how_it_ended(handler)}{left}"


def _how_it_ended(handler: Handler) -> str:
    ended = handler.ended
    if ended is None:
        return ""
    if ended.why:
        return safe(ended.why)
    if ended.signal is None:
        return f"exit {ended.code}"
    with suppress(ValueError):
        return f"killed by {signal.Signals(ended.signal).name}"
    return f"signal {ended.signal}"


def seconds_in_short(seconds: float) -> str:
    """Return how long a handler took, in eight cells: ``0.012``, ``12.3``, ``02:31``."""
    if seconds < 10:
        return f"{seconds:.3f}"
    return f"{seconds:.1f}" if seconds < 100 else clock(seconds)


def text_of(handler: Handler) -> str:
    """Return what a filter looks at."""
    return f"{handler.place} {handler.text} {handler.state} {end_in_words(handler)}"


def handler_facts(handler: Handler, wall: float, cells: int) -> list[Line]:
    """Return what is known of one handler, at a wall time, for a panel so wide."""
    ended = handler.ended
    facts = [("item", safe(handler.text), "strong")]
    if ended is not None:
        facts.append(("ended", end_in_words(handler), f"state.{handler.state}"))
    facts.append(("seconds", f"{handler.seconds(wall):,.3f}", "text"))
    again = f", attempt {handler.attempt} of the stream" if handler.attempt > 1 else ""
    facts.append(("tried", wording.counted(handler.tries, "time") + again, "text"))
    if ended is not None:
        facts.append(("result", "has written one" if ended.result else "has written none", "muted"))
    room = max(cells - _LABEL_CELLS, 8)
    lines: list[Line] = []
    for label, value, style in facts:
        first, *more = wrap(value, room)
        lines.append((Span(label.ljust(_LABEL_CELLS), "muted"), Span(first, style)))
        lines += [(Span(" " * _LABEL_CELLS), Span(piece, style)) for piece in more[:3]]
    return lines


def why_no_output(handler: Handler | None) -> str:
    """Return what to say where an output would stand, and is empty."""
    if handler is None:
        return "no handler is chosen"
    return "no output yet" if handler.ended is None else "it wrote nothing"
