"""Convergence points at which streams wait for longer than the plan allows."""

from __future__ import annotations

from anabranch.core import events as ev
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.guardian import ladder
from anabranch.core.deciding.owed import convergence_overdue_at
from anabranch.core.deciding.points.convergence import participants
from anabranch.core.ids import PointId, StreamId


def time_reached(draft: Draft) -> None:
    """Find points that are overdue now, and those who hold them up."""
    for point_id in draft.state.topology.points:
        point = draft.point(point_id)
        at = convergence_overdue_at(draft.state, point)
        if at is None or draft.now < at:
            continue
        limit = draft.state.point_plan(point_id).timeout_seconds or 0.0
        missing = _missing(draft, point_id)
        with draft.because_of(
            draft.emit(
                ev.ConvergenceOverdue(
                    point_id, waited_seconds=draft.now - at + limit, waiting_for=missing
                )
            )
        ):
            ladder.point_overdue(draft, point_id)


def _missing(draft: Draft, point_id: PointId) -> tuple[StreamId, ...]:
    point = draft.point(point_id)
    here = {*point.arrived, *point.departed, *(a.stream for a in point.gathering.arrivals)}
    return tuple(s for s in participants(draft.state, point_id) if s not in here)
