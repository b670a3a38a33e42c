"""The columns of the graph: where a stream stands, how it is, when it runs, what it waits for."""

from __future__ import annotations

from collections.abc import Callable

from anabranch.core import wording
from anabranch_console.glyphs import Glyphs
from anabranch_console.lines import Line, Span, text_cells
from anabranch_console.presenters.grid_columns import Column
from anabranch_console.presenters.plan_look import LEAST_SLACK, PlanLook, Total
from anabranch_console.presenters.plan_rows import PlanRow
from anabranch_console.presenters.stream_row import URGENCY
from anabranch_console.presenters.wording import NOTHING, clock, safe

GUESSED = "≈"
NEEDS = "←"
TREE = "tree"
"""The column that the tree is drawn in."""
_MOST_LEVELS, _NAME_CELLS, _SIGN_CELLS = 10, 12, 5
"""So many levels of the tree are drawn at most, and no more than leave room for a name."""
_MOST_OTHERS = 3


def plan_columns(look: Callable[[], PlanLook]) -> list[Column[PlanRow]]:
    """Return the columns of the graph."""
    return [
        Column("STREAM", _stream_cells, 100, lambda r: _stream(look(), r), id=TREE),
        Column("STATE", 9, 80, lambda r: _state(look(), r)),
        Column("TAKES", 7, 75, lambda r: _takes(look(), r), "right"),
        Column("SLACK", 6, 85, lambda r: _slack(look(), r), "right"),
        Column("START", 6, 70, lambda r: _start(look(), r), "right"),
        Column("END", 6, 90, lambda r: _end(look(), r), "right"),
        Column("WAITS FOR", 0, 95, lambda r: _waits(look(), r)),
    ]


def _stream_cells(cells: int) -> int:
    """Return how wide the tree is, of all cells."""
    return max(16, min(48, cells // 3))


def levels_drawn(cells: int) -> int:
    """Return how many levels of the tree a column of so many cells has room for."""
    return max(1, min(_MOST_LEVELS, (cells - _NAME_CELLS - _SIGN_CELLS) // 2))


def plan_legend(glyphs: Glyphs, cells: int) -> str:
    """Return what the signs mean, in so many cells at most; less where there is no room."""
    parts = (
        f"{glyphs.critical} critical path",
        f"{NEEDS} needs this too",
        f"{GUESSED} guessed",
    )
    for count in (3, 2, 1):
        text = "  ".join(parts[:count])
        if text_cells(text) <= cells:
            return text
    return ""


def row_text(look: PlanLook, row: PlanRow) -> str:
    """Return what a filter of the graph looks at."""
    if row.stream is None:
        return row.group
    mark = " critical" if look.is_critical(row.stream) else ""
    return f"{row.stream} {wording.spelled(look.stream(row.stream).public_state)}{mark}"


# --- the tree ------------------------------------------------------------------------------------


def _stream(look: PlanLook, row: PlanRow) -> Line:
    glyphs = look.glyphs
    fold = (glyphs.cursor if row.is_folded else glyphs.descending) if row.can_fold else " "
    if row.stream is None:
        is_critical = look.total(row.below).is_critical
        name: Line = (Span(safe(row.group), "strong"), Span(f" {len(row.below)}", "muted"))
    else:
        is_critical = look.is_critical(row.stream)
        state = look.stream(row.stream).public_state
        sign = Span(f"{glyphs.state(state)} ", f"state.{state}")
        style = "strong" if is_critical else "text"
        name = (sign, Span(safe(row.stream), style), *_others(row))
    critical = Span(f"{glyphs.critical if is_critical else ' '} ", "key")
    lead = Span(branches(row, glyphs, look.levels), "faint")
    return (lead, Span(fold, "muted"), critical, *name)


def branches(row: PlanRow, glyphs: Glyphs, most: int) -> str:
    """Return the lines that lead to a row; deeper than so many levels stands the level's number."""
    if not row.depth:
        return ""
    above = row.is_last[1 : min(row.depth, most)]
    trunks = "".join("  " if is_last else glyphs.trunk for is_last in above)
    if row.depth > most:
        return f"{trunks}{row.depth:>2}"
    return trunks + (glyphs.last_branch if row.is_last[row.depth] else glyphs.branch)


def _others(row: PlanRow) -> Line:
    if not row.others:
        return ()
    names = wording.listing((safe(other) for other in row.others), _MOST_OTHERS)
    return (Span(f" {NEEDS} {names}", "muted"),)


# --- the facts -----------------------------------------------------------------------------------


def _state(look: PlanLook, row: PlanRow) -> Line:
    if row.stream is None:
        return ()
    state = look.stream(row.stream).public_state
    return (Span(state.replace("_", " "), f"state.{state}"),)


def _takes(look: PlanLook, row: PlanRow) -> Span:
    if row.stream is None or row.is_folded:
        total = _total(look, row)
        return Span(_guessed(total.takes, total.is_guessed), "text")
    return Span(_guessed(look.takes(row.stream), look.is_guessed(row.stream)), "text")


def _guessed(seconds: float, is_guessed: bool) -> str:
    return f"{GUESSED if is_guessed else ''}{wording.duration(seconds)}"


def _slack(look: PlanLook, row: PlanRow) -> Span:
    if row.stream is None or row.is_folded:
        slack, is_critical = _total(look, row).times.slack, _total(look, row).is_critical
    else:
        slack, is_critical = look.times(row.stream).slack, look.is_critical(row.stream)
    if slack is None:
        return Span(NOTHING, "muted")
    words = wording.duration(slack) if slack >= LEAST_SLACK else "none"
    return Span(words, "key" if is_critical else "text")


def _start(look: PlanLook, row: PlanRow) -> Span:
    if row.stream is None or row.is_folded:
        return Span(clock(_total(look, row).times.start), "muted")
    has_started = look.stream(row.stream).first_started_at is not None
    return Span(clock(look.times(row.stream).start), "text" if has_started else "muted")


def _end(look: PlanLook, row: PlanRow) -> Span:
    if row.stream is None or row.is_folded:
        return Span(clock(_total(look, row).times.end), "muted")
    has_ended = look.stream(row.stream).has_ended
    return Span(clock(look.times(row.stream).end), "text" if has_ended else "muted")


def _waits(look: PlanLook, row: PlanRow) -> Line:
    if row.stream is None:
        return _counts(look, look.total(row.below))
    if row.is_folded:
        head = Span(f"+{len(row.below)} below: ", "muted")
        return (head, *_counts(look, look.total(row.below)))
    stream = look.stream(row.stream)
    words = look.waits_in_short(row.stream)
    if words:
        return (Span(safe(words), f"state.{stream.public_state}"),)
    return (Span(safe(stream.reason), "muted"),) if stream.public_state in _TROUBLE else ()


_TROUBLE = frozenset({"failed", "quarantined", "stopped", "skipped", "stalled", "recovering"})


def _counts(look: PlanLook, total: Total) -> Line:
    """Return how many are in each state, those that want attention first."""
    spans = []
    for state, count in sorted(total.states, key=lambda each: _urgency(each[0])):
        words = f"{count} {state.replace('_', ' ')}"
        spans.append(Span(f"{look.glyphs.state(state)} {words}  ", f"state.{state}"))
    return tuple(spans)


def _urgency(state: str) -> int:
    return URGENCY.index(state) if state in URGENCY else len(URGENCY)


def _total(look: PlanLook, row: PlanRow) -> Total:
    """Return what a folded row, or a group, stands for: itself and what is below."""
    return look.total((*row.streams, *row.below) if row.stream is not None else row.below)
