"""Conflicts in words: a row for each path, and both sides of it line by line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from anabranch.core import events as ev
from anabranch.core import wording
from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.decisions import Decision
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import State
from anabranch.core.views.conflicts import (
    decisions_of,
    in_order,
    key_of,
    open_conflicts,
    resolution_of,
)
from anabranch_console.glyphs import UNICODE, Glyphs
from anabranch_console.lines import Line, Span, fit, hang, hard_wrap, line_cells, wrap
from anabranch_console.presenters.grid_columns import Column
from anabranch_console.presenters.side_diff import DiffLine, count_lines, diff_texts, is_binary
from anabranch_console.presenters.wording import safe, wall_clock

if TYPE_CHECKING:
    from anabranch.engine.settling import SideTexts

SIDE_BY_SIDE_CELLS = 90
MOST_SHOWN = 600
_NUMBER_CELLS = 5
_STYLES = {"+": "level.good", "-": "level.error", "…": "faint"}


@dataclass(frozen=True, slots=True)
class ConflictRow:
    """One path in a conflict; without a ``point`` it is only foreseen.

    One that is settled, so that nothing waits for it any more, has ``decided`` instead of a
    ``conflict``.
    """

    streams: tuple[StreamId, ...]
    path: ev.ConflictedPath
    point: PointId | None = None
    conflict: ev.Conflict | None = None
    resolution: ev.Resolution | None = None
    is_told: bool = False
    decided: Decision | None = None

    @property
    def is_foreseen(self) -> bool:
        """Whether two running streams would not merge in it."""
        return self.conflict is None and self.decided is None

    @property
    def key(self) -> tuple[object, ...]:
        """What the row is known by, before it is settled and afterwards."""
        halts = self.conflict.halts if self.conflict else ""
        return (self.streams, self.path.path, self.point, halts, self.path.ours, self.path.theirs)

    @property
    def ours(self) -> str:
        """Whose work is on the side called ours."""
        return " and ".join(self.streams[:-1]) or "the base of the run"

    @property
    def theirs(self) -> str:
        """Whose work is on the side called theirs."""
        return str(self.streams[-1])

    @property
    def waits(self) -> bool:
        """Whether it can be decided about."""
        return self.conflict is not None


def conflict_rows(state: State) -> list[ConflictRow]:
    """Return the conflicted paths in the order of the plan, then those that are only foreseen.

    Last come those that are settled, the newest first.
    """
    waiting = [
        ConflictRow(c.streams, path, point, c, resolution_of(state, path))
        for point, c in open_conflicts(state)
        for path in c.paths
    ]
    foreseen = [
        ConflictRow(found.streams, path, is_told=found.is_told)
        for found in in_order(state.foreseen)
        for path in found.paths
    ]
    shown = {key_of(row.path) for row in waiting}
    settled = [
        ConflictRow(
            made.streams, _path_of(made.resolution), made.point, None, made.resolution, decided=made
        )
        for made in decisions_of(state)
        if key_of(made.resolution) not in shown
    ]
    return [*waiting, *foreseen, *settled]


def _path_of(made: ev.Resolution) -> ev.ConflictedPath:
    return ev.ConflictedPath(
        path=made.path, kind="settled", base=made.base, ours=made.ours, theirs=made.theirs
    )


def decision_detail(
    row: ConflictRow, started_wall: float, cells: int, refusal: Refusal | None = None
) -> list[Line]:
    """Return who decided what about a path, and when; ``refusal`` is why that stays so."""
    assert row.decided is not None
    made = row.decided.resolution
    whose = {"ours": row.ours, "theirs": row.theirs, "both": f"{row.ours}, then {row.theirs}"}
    text = f"{made.choice}: {whose[made.choice]}" if made.choice in whose else str(made.choice)
    facts = [
        ("decided", text),
        ("by", f"the {row.decided.by}"),
        ("at", wall_clock(started_wall, row.decided.at)),
        ("where", _where(row).text.removeprefix("at ")),
        ("holds", "wherever the same versions meet again in this run"),
        ("undo", "u decides it again" if refusal is None else f"{refusal.reason}; {refusal.hint}"),
    ]
    lines: list[Line] = [(Span(safe(row.path.path), "strong"),)]
    for name, value in facts:
        lines += hang((Span(name.ljust(9), "muted"), Span(safe(value), "text")), cells)
    return lines


def conflict_text(row: ConflictRow) -> str:
    """Return what a filter of conflicts looks at."""
    return f"{row.path.path} {row.path.kind} {' '.join(row.streams)} {row.point or 'foreseen'}"


def conflict_columns(glyphs: Callable[[], Glyphs]) -> list[Column[ConflictRow]]:
    """Return the columns of the conflicts."""
    return [
        Column("STATE", 11, 100, lambda r: _state(glyphs(), r)),
        Column("PATH", 0, 95, lambda r: Span(safe(r.path.path), "strong"), is_path=True),
        Column("KIND", 13, 50, lambda r: Span(safe(r.path.kind), "muted"), grows=True),
        Column(
            "OURS × THEIRS",
            24,
            80,
            lambda r: Span(safe(f"{r.ours} × {r.theirs}"), "text"),
            grows=True,
        ),
        Column("WHERE", 16, 60, _where, grows=True),
    ]


def _state(glyphs: Glyphs, row: ConflictRow) -> Span:
    if row.resolution is not None:
        return Span(f"{glyphs.state('succeeded')} {row.resolution.choice}", "state.succeeded")
    if row.waits:
        return Span(f"{glyphs.state('needs_operator')} to decide", "level.error")
    text = "told" if row.is_told else "foreseen"
    return Span(f"{glyphs.state('stalled')} {text}", "level.warning")


def _where(row: ConflictRow) -> Span:
    if row.conflict is not None and row.conflict.halts:
        return Span(safe(f"before {row.conflict.halts}"), "text")
    return Span(safe(f"at {row.point}" if row.point else "before they meet"), "muted")


# --- the panel beside ----------------------------------------------------------------------------


def conflict_detail(
    row: ConflictRow, texts: SideTexts | str | None, cells: int, glyphs: Glyphs = UNICODE
) -> list[Line]:
    """Return both sides of a path. ``texts`` is why there are none, or None while they are read."""
    lines: list[Line] = [(Span(safe(row.path.path), "strong"), Span(f"  {row.path.kind}", "muted"))]
    lines += _standing(row, cells)
    lines.append(())
    if texts is None:
        return [*lines, (Span("reading both sides", "muted"),)]
    if isinstance(texts, str):
        return [*lines, *((Span(piece, "level.warning"),) for piece in wrap(safe(texts), cells))]
    has_ours, has_theirs = row.path.ours is not None, row.path.theirs is not None
    ours = list(diff_texts(texts.base, texts.ours, is_there=has_ours))[:MOST_SHOWN]
    theirs = list(diff_texts(texts.base, texts.theirs, is_there=has_theirs))[:MOST_SHOWN]
    titles = _side("ours", row.ours, texts.ours), _side("theirs", row.theirs, texts.theirs)
    if cells >= SIDE_BY_SIDE_CELLS:
        return [*lines, *_side_by_side(titles, ours, theirs, cells, glyphs)]
    lines += [titles[0], *_below(ours, cells), (), titles[1], *_below(theirs, cells)]
    return lines


def _standing(row: ConflictRow, cells: int) -> list[Line]:
    if row.resolution is not None:
        return [(Span(f"decided: {row.resolution.choice}", "state.succeeded"),)]
    if not row.waits:
        hint = "both know of it" if row.is_told else "m tells both"
        text = f"{row.ours} and {row.theirs} would not merge as they are now; {hint}"
        return [(Span(piece, "level.warning"),) for piece in wrap(safe(text), cells)]
    halts = row.conflict.halts if row.conflict else ""
    text = (
        f"{halts} cannot start before this is decided" if halts else f"{row.point} waits for this"
    )
    return [(Span(piece, "level.error"),) for piece in wrap(safe(text), cells)]


def _side(name: str, whose: str, text: bytes | None) -> Line:
    is_text = text is not None and not is_binary(text)
    size = f"  {wording.counted(count_lines(text), 'line')}" if text and is_text else ""
    return (Span(name, "title"), Span(f"  {safe(whose)}", "accent"), Span(size, "muted"))


def _below(diff: list[DiffLine], cells: int) -> list[Line]:
    room = max(cells - _NUMBER_CELLS - 2, 8)
    lines: list[Line] = []
    for line in diff:
        first, *more = hard_wrap(seen(line.text), room)
        lines.append(_diff_line(line, first))
        style = _STYLES.get(line.sign, "text")
        lines += [(Span(" " * (_NUMBER_CELLS + 2)), Span(piece, style)) for piece in more]
    return lines


def seen(text: str) -> str:
    """Return a line of a file made safe, with nothing taken out: two that differ look different."""
    return safe(text.replace("\x1b", "\\x1b").replace("\x9b", "\\x9b"))


def _diff_line(line: DiffLine, text: str) -> Line:
    style = _STYLES.get(line.sign, "text")
    number = "" if line.number is None else str(line.number)
    return (Span(f"{number:>{_NUMBER_CELLS - 1}} ", "faint"), Span(f"{line.sign} {text}", style))


def _side_by_side(
    titles: tuple[Line, Line],
    ours: list[DiffLine],
    theirs: list[DiffLine],
    cells: int,
    glyphs: Glyphs,
) -> list[Line]:
    width = (cells - 3) // 2
    bar = Span(" | " if glyphs.is_ascii else " │ ", "faint")
    left = [titles[0], *(_cut(line, width) for line in ours)]
    right = [titles[1], *(_cut(line, width) for line in theirs)]
    return [
        (*_padded(one, width), bar, *_padded(other, width))
        for one, other in zip_longest(left, right, fillvalue=())
    ]


def _cut(line: DiffLine, width: int) -> Line:
    return _diff_line(line, fit(seen(line.text), max(width - _NUMBER_CELLS - 2, 1)))


def _padded(line: Line, width: int) -> Line:
    """Return a line cut or filled up to a width."""
    spans, left = [], width
    for span in line:
        text = fit(span.text, min(left, line_cells((span,))))
        spans.append(Span(text, span.style))
        left -= line_cells((spans[-1],))
    return (*spans, Span(" " * left))
