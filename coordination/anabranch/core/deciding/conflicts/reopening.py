"""Taking a decision about a conflict back, for as long as nothing was built on it.

What was decided is in a merge at once, when it was the last that was missing. A point whose merge
holds it is opened again, and its next merge finds the conflict once more. What has been approved,
or what a stream has started from, is no longer only a decision: it stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.conflicts.resolving import why_not_now
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.points import convergence
from anabranch.core.folds.inheritance import works_below
from anabranch.core.folds.resolutions import key_of
from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.decisions import Decision
from anabranch.core.model.outcome import NotYet, Refusal
from anabranch.core.model.state import Point, PointPhase, RunPhase, State, Stream


def reopen(draft: Draft, command: inputs.ReopenConflict) -> Refusal | None:
    """Let paths wait for a decision again, and open the points that have merged one."""
    state = draft.state
    keys = dict.fromkeys(map(key_of, command.resolutions))
    found = [state.decisions.get(key) for key in keys]
    made = [decision for decision in found if decision is not None]
    if not made or len(made) < len(found):
        return Refusal("nothing was decided about that", "`anabranch conflicts` lists what was")
    for decision in made:
        refusal = why_not_reopened(state, decision)
        if refusal is not None:
            return refusal
    points = list(dict.fromkeys(p for decision in made for p in _merged_in(state, decision)))
    for decision in made:
        draft.cause = draft.emit(
            ev.ConflictReopened(
                point=decision.point,
                streams=decision.streams,
                resolution=decision.resolution,
                reason=command.reason,
            )
        )
    if points and state.has_ended:
        draft.cause = draft.emit(ev.RunReopened(reason=command.reason))
    for point in points:
        convergence.reopen(draft, point, command.reason)
    return None


def why_not_reopened(state: State, decision: Decision) -> Refusal | None:
    """Return why a decision cannot be taken back, and what can be done instead; None if it can."""
    path = decision.resolution.path
    approval = state.approval
    if approval.is_done:
        hint = f"change {path} there, or in a run that begins from it"
        return Refusal("the result is on your branch already", hint)
    if approval.is_requested:
        return NotYet("the result is on its way to your branch", "try again in a moment")
    refusal = why_not_now(state)
    if refusal is not None:
        return refusal
    for name in _built_on(state, decision):
        hint = f"what comes after it can change {path}: anabranch add --after {name} -- COMMAND"
        if state.has_ended:
            hint = f"change {path} on your branch, once you have approved the result"
        return Refusal(f"{name} has started from what was decided about {path}", hint)
    if state.phase is RunPhase.STOPPED:
        return Refusal("the run was stopped", f"anabranch resume {state.run} goes on with it first")
    for point in _merged_in(state, decision):
        policy = state.point_plan(point).on_conflict
        if policy != "ask":
            what = "leaves out what came late" if policy == "quarantine" else "ends the run"
            reason = f"{point} asks nobody: it {what} where something is in conflict"
            return Refusal(
                reason, f"its on_conflict is {policy!r}; change {path} after the approval"
            )
    return None


def _merged_in(state: State, decision: Decision) -> Iterator[PointId]:
    """Yield the points whose newest merge holds what was decided."""
    key, streams = key_of(decision.resolution), set(decision.streams)
    for plan in state.plan.points:
        point = state.points[plan.id]
        is_found = any(key_of(p) == key for c in point.conflicts if not c.halts for p in c.paths)
        if streams <= _tried(point) and not is_found:
            yield plan.id


def _tried(point: Point) -> set[StreamId]:
    """Return whose work the newest merge of a point holds; one that is blocked has tried it."""
    if point.phase is PointPhase.BLOCKED:
        return set(point.merging)
    return set(point.merged) if point.phase in (PointPhase.MERGED, PointPhase.OPEN) else set()


def _built_on(state: State, decision: Decision) -> Iterable[StreamId]:
    """Yield who has begun with both sides in its workspace, so with what was decided."""
    sides = set(decision.streams)
    for plan in state.plan.streams:
        stream = state.streams[plan.id]
        has_begun = stream.is_active or stream.first_started_at is not None
        if has_begun and (
            sides <= works_below(state, plan.id) or _was_brought(state, stream, sides)
        ):
            yield plan.id


def _was_brought(state: State, stream: Stream, sides: set[StreamId]) -> bool:
    """Return whether a checkpoint of a point has brought a stream both sides while it ran."""
    if stream.synced is None:
        return False
    return sides <= {*state.points[stream.synced.point].checkpoint.works}
