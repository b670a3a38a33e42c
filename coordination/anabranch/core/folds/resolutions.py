"""What was decided about conflicted paths, remembered for the whole run.

A decision belongs to a path and the three blobs that met there, whichever of the two sides came
first. Where they meet again, in another attempt or at another convergence point, it holds without
being asked for again (as git's rerere does for hunks). Once one of the three changes it is another
conflict.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.ids import PointId
from anabranch.core.model.decisions import Decision
from anabranch.core.model.state import Point, State


def key_of(path: ev.ConflictedPath | ev.Resolution) -> str:
    """Return what a decision about a path is remembered under."""
    sides = sorted((path.ours or "", path.theirs or ""))
    return "\0".join((path.path, path.base or "", *sides))


def resolution_of(state: State, path: ev.ConflictedPath) -> ev.Resolution | None:
    """Return what was decided about a conflicted path, None if nothing was."""
    return state.resolutions.get(key_of(path))


def undecided(state: State, conflict: ev.Conflict) -> tuple[ev.ConflictedPath, ...]:
    """Return the paths of a conflict that nobody has decided about."""
    return tuple(p for p in conflict.paths if resolution_of(state, p) is None)


def awaits_decision(state: State, point: PointId, conflict: ev.Conflict) -> bool:
    """Return whether a conflict keeps its point, or the stream that it halts, from going on."""
    from anabranch.core.model.lifecycle import Phase  # the state imports this module
    from anabranch.core.model.state import PointPhase

    if conflict.halts:
        halted = state.streams.get(conflict.halts)
        return halted is not None and halted.phase is Phase.BLOCKED
    met = state.points[point]
    if met.phase is PointPhase.OPEN and state.plan.is_open:  # its last merge may be a day away
        return conflict.late in met.left_out
    return met.phase in (PointPhase.BLOCKED, PointPhase.ABANDONED)


def open_conflicts(state: State) -> list[tuple[PointId, ev.Conflict]]:
    """Return the conflicts that wait for a decision, in plan order."""
    return [
        (plan.id, conflict)
        for plan in state.plan.points
        for conflict in state.points[plan.id].conflicts
        if awaits_decision(state, plan.id, conflict)
    ]


def resolver_is_due(state: State, point: PointId, conflict: ev.Conflict) -> bool:
    """Say whether a point has a resolver that was not asked about this conflict yet."""
    if not state.point_plan(point).resolver or state.stop_reason:
        return False
    tried = state.points[point].resolver_tried
    return any(key_of(p) not in tried for p in undecided(state, conflict))


def _resolved(state: State, record: ev.Recorded, event: ev.ConflictResolved) -> State:
    resolution = event.resolution
    key = key_of(resolution)
    made = Decision(resolution, event.point, event.streams, event.by, record.seq, record.at)
    return replace(
        state,
        resolutions=state.resolutions.insert(key, resolution),
        decisions=state.decisions.insert(key, made),
        last_decision=record.seq,
    )


def _reopened(state: State, record: ev.Recorded, event: ev.ConflictReopened) -> State:
    key = key_of(event.resolution)
    return replace(
        state,
        resolutions=state.resolutions.discard(key),
        decisions=state.decisions.discard(key),
        last_decision=record.seq,
    )


FOLDS: dict[type[ev.Event], Any] = {
    ev.ConflictResolved: _resolved,
    ev.ConflictReopened: _reopened,
}


def _resolver_started(p: Point, record: ev.Recorded, event: ev.ResolverStarted) -> Point:
    return replace(p, resolving=event.conflicts, resolver_cause=record.seq)


def _resolver_ended(p: Point, record: ev.Recorded, event: ev.ResolverEnded) -> Point:
    asked = [key_of(path) for conflict in p.resolving for path in conflict.paths]
    tried = tuple(dict.fromkeys((*p.resolver_tried, *asked)))
    return replace(p, resolving=(), resolver_tried=tried)


POINT_FOLDS: dict[type[ev.PointEvent], Any] = {
    ev.ResolverStarted: _resolver_started,
    ev.ResolverEnded: _resolver_ended,
}
