"""Convergence points in words: who has come, who is waited for, what was merged or left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from anabranch.core import wording
from anabranch.core.ids import FINAL_POINT, StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Point, PointPhase, State
from anabranch.core.views.guardian import held_up_by
from anabranch.core.views.points import participants, waiting_since
from anabranch.core.views.projections import in_plan_order
from anabranch.core.views.waiting import reason_for
from anabranch_console.glyphs import UNICODE, Glyphs
from anabranch_console.lines import Line, Span, wrap
from anabranch_console.presenters.grid_columns import Column
from anabranch_console.presenters.race_lines import Counts, race_lines
from anabranch_console.presenters.wording import safe

_LABEL_CELLS = 11
_STYLES = {
    PointPhase.OPEN: "state.waiting",
    PointPhase.MERGING: "state.running",
    PointPhase.VERIFYING: "state.running",
    PointPhase.MERGED: "state.succeeded",
    PointPhase.BLOCKED: "state.recovering",
    PointPhase.ABANDONED: "state.failed",
}
_WORDS = {PointPhase.OPEN: "waiting"}


@dataclass(slots=True)
class PointLook:
    """What convergence points are shown with."""

    state: State
    now: float
    glyphs: Glyphs = UNICODE
    counts: Counts = field(default_factory=dict)


def point_rows(state: State) -> list[Point]:
    """Return the points: those that need a person first, then in the order of the plan."""
    return sorted(in_plan_order(state), key=lambda p: p.phase is not PointPhase.BLOCKED)


def point_text(point: Point) -> str:
    """Return what a filter of points looks at."""
    return f"{point.id} {_WORDS.get(point.phase, point.phase.value)} {point.reason}"


def missing_at(state: State, point: Point) -> list[StreamId]:
    """Return who is still waited for."""
    if point.is_settled:
        return []
    gone = {*point.arrived, *point.departed}
    return [s for s in participants(state, point.id) if s not in gone]


def point_columns(look: Callable[[], PointLook]) -> list[Column[Point]]:
    """Return the columns of the points."""
    return [
        Column("POINT", 16, 100, lambda p: Span(safe(p.id), "strong"), grows=True),
        Column("TYPE", 12, 80, lambda p: Span(safe(look().state.point_plan(p.id).type))),
        Column("STATE", 10, 95, lambda p: _state(p)),
        Column("ARRIVED", 8, 90, lambda p: _arrived(look(), p), "right"),
        Column("MERGED", 6, 70, lambda p: Span(str(len(p.merged) or ""), "text"), "right"),
        Column("WAITS", 6, 85, lambda p: _oldest(look(), p), "right"),
        Column("WHY", 0, 75, lambda p: Span(safe(p.reason), "muted")),
    ]


def has_merged(point: Point) -> bool:
    """Return whether what has merged counts; a reopened point keeps its old commit until then."""
    return bool(point.commit) and (bool(point.merged) or point.phase is PointPhase.MERGED)


def _state(point: Point) -> Span:
    return Span(_WORDS.get(point.phase, point.phase.value), _STYLES[point.phase])


def _arrived(look: PointLook, point: Point) -> Span:
    return Span(f"{len(point.arrived)}/{len(participants(look.state, point.id))}", "text")


def _waiters(point: Point) -> dict[StreamId, float]:
    waiting = dict(waiting_since(point))
    waiting |= {a.stream: a.since for a in point.gathering.arrivals if a.waits}
    return waiting


def _oldest(look: PointLook, point: Point) -> Span:
    since = min(_waiters(point).values(), default=None)
    if since is None or point.is_settled:
        return Span("", "muted")
    return Span(wording.age(look.now - since), "level.warning" if point.is_overdue else "text")


# --- the panel beside ------------------------------------------------------------------------


def point_detail(look: PointLook, point: Point | None, cells: int) -> list[Line]:
    """Return everything about the chosen point."""
    if point is None:
        return []
    plan = look.state.point_plan(point.id)
    lines = _fact("state", f"{_WORDS.get(point.phase, point.phase.value)}: {point.reason}", cells)
    lines += _fact("type", plan.type, cells)
    if plan.verify:
        lines += _fact("verify", plan.verify, cells)
        lines += _checks(point, cells)
    if point.checkpoint.last:
        lines += _fact("checkpoint", f"number {point.checkpoint.last}", cells)
    if point.commit:
        where = f" on anabranch/{look.state.run}" if point.id == FINAL_POINT else ""
        result = f"{point.commit[:10]}{where}"
        if has_merged(point):
            lines += _fact("merged", f"{len(point.merged)} in {result}", cells)
        else:
            lines += _fact("stands", f"{result}, until it has merged again", cells)
    for warning in point.warnings:
        lines += _fact("look at", warning, cells, "level.warning")
    if plan.adopts_one:
        lines += [(), (Span("Who races here", "title"),)]
        lines += race_lines(look.state, point.id, look.now, look.counts, look.glyphs, cells)
    else:
        lines += [(), (Span("Who meets here", "title"),)]
        for stream_id in participants(look.state, point.id):
            lines += _participant(look, point, stream_id, cells)
    if point.conflicts:
        lines += [(), (Span("Conflicts", "title"),)]
        for conflict in point.conflicts:
            paths = wording.listing([p.path for p in conflict.paths], 3)
            text = f"{' and '.join(conflict.streams)}: {paths}"
            lines += [(Span(p, "level.warning"),) for p in wrap(safe(text), max(cells, 12))]
    return lines


def _checks(point: Point, cells: int) -> list[Line]:
    lines: list[Line] = []
    for streams, passed in (*point.probes, *point.probes_again):
        whom = wording.listing([str(s) for s in streams], 3) if streams else "the base alone"
        text = f"{'passes' if passed else 'fails'}: {whom}"
        lines += _fact("", text, cells, "level.good" if passed else "level.error")
    for streams in point.guilty:
        lines += _fact("guilty", " together with ".join(streams[::-1]), cells, "level.error")
    if point.phase is PointPhase.VERIFYING:
        lines += _fact("checking", point.reason, cells, "state.running")
    return lines


def _participant(look: PointLook, point: Point, stream_id: StreamId, cells: int) -> list[Line]:
    stream = look.state.streams[stream_id]
    state = stream.public_state
    name = Span(f"{look.glyphs.state(state)} {safe(stream_id)}", f"state.{state}")
    standing, style = _standing(look, point, stream_id)
    pieces = wrap(safe(standing), max(cells - 4, 12))
    return [(name,), *[(Span(f"    {piece}", style),) for piece in pieces]]


def _standing(look: PointLook, point: Point, stream_id: StreamId) -> tuple[str, str]:
    """Return how a stream stands to a point, in words, and how that looks."""
    stream = look.state.streams[stream_id]
    if stream_id in point.left_out:
        return f"left out so far: {point.left_out[stream_id]}", "level.warning"
    if stream.phase is Phase.QUARANTINED or stream_id in point.departed:
        return f"left: {point.departed.get(stream_id, stream.reason)}", "level.error"
    if stream_id in point.merged:
        return "merged", "level.good"
    waiting = _waiters(point).get(stream_id)
    if stream_id in point.arrived or waiting is not None:
        missing = wording.listing([str(s) for s in missing_at(look.state, point)], 3)
        for_whom = f", for {missing}" if missing and not point.is_settled else ""
        age = f", waits {wording.age(look.now - waiting)}{for_whom}" if waiting is not None else ""
        return f"has arrived{age}", "text"
    if held_up_by(look.state, stream_id) == point.id:
        return f"holds it up: {reason_for(look.state, stream)}", "level.warning"
    return f"is waited for: {reason_for(look.state, stream)}", "muted"


def _fact(name: str, text: str, cells: int, style: str = "text") -> list[Line]:
    pieces = wrap(safe(text), max(cells - _LABEL_CELLS, 12)) or [""]
    return [
        (Span(("" if i else name).ljust(_LABEL_CELLS), "muted"), Span(piece, style))
        for i, piece in enumerate(pieces)
    ]
