"""Decisions about conflicts: settled path by path, by a resolver, or by doing the work again.

A conflict whose paths are all decided is merged at once: its point opens again, and the stream that
it halted starts. A conflict can also be handed back to a stream, which then does its work again on
top of what it could not be merged with.
"""

from __future__ import annotations

from collections.abc import Sequence

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.messages import tell
from anabranch.core.deciding.points import convergence
from anabranch.core.folds.resolutions import key_of, open_conflicts, undecided
from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.outcome import NotYet, Refusal
from anabranch.core.model.state import RunPhase, State
from anabranch.core.wording import conflicting


def resolve(draft: Draft, command: inputs.ResolveConflict) -> Refusal | None:
    """Record what the operator decided, and go on where nothing is left to decide."""
    state = draft.state
    refusal = why_not_now(state)
    if refusal:
        return refusal
    found = [_conflict_about(state, resolution) for resolution in command.resolutions]
    if None in found or not found:
        return Refusal(
            "no conflict that waits is about that",
            "`anabranch conflicts` lists what there is to decide",
        )
    for resolution, place in zip(command.resolutions, found, strict=True):
        assert place is not None
        point, conflict = place
        draft.cause = draft.emit(
            ev.ConflictResolved(point=point, streams=conflict.streams, resolution=resolution)
        )
    _go_on_where_decided(draft, command.reason)
    return None


def why_not_now(state: State) -> Refusal | None:
    """Return why nothing can be decided about conflicts at the moment, if so."""
    if any(p.is_busy for p in state.points.values()):
        return NotYet("results are being merged", "try again in a moment")
    if any(p.resolving for p in state.points.values()):
        return Refusal("the plan's resolver is at work on it", "wait until it has ended")
    if state.phase is RunPhase.STOPPING:
        return Refusal("the run is stopping", "decide when it has stopped")
    return None


def _conflict_about(state: State, resolution: ev.Resolution) -> tuple[PointId, ev.Conflict] | None:
    key = key_of(resolution)
    for point, conflict in open_conflicts(state):
        if any(key_of(path) == key for path in conflict.paths):
            return point, conflict
    return None


def _go_on_where_decided(draft: Draft, reason: str) -> None:
    state = draft.state
    done = [(p, c) for p, c in open_conflicts(state) if c.paths and not undecided(state, c)]
    if done and state.has_ended:
        draft.cause = draft.emit(ev.RunReopened(reason=reason))
    for point_id in dict.fromkeys(point for point, _ in done):
        _go_on(draft, point_id, reason)


def _go_on(draft: Draft, point_id: PointId, reason: str) -> None:
    """Merge a point once more, and let the streams start that its conflicts have halted."""
    halted = [c.halts for c in draft.point(point_id).conflicts if c.halts]
    for stream_id in dict.fromkeys(halted):
        if draft.stream(stream_id).phase is Phase.BLOCKED:
            draft.emit(ev.StreamRequeued(stream_id, reason=reason, goes_on=True))
    if not draft.point(point_id).is_busy:  # else its last merge tries again
        convergence.reopen(draft, point_id, reason)


# --- handing back --------------------------------------------------------------------------------


def hand_back(draft: Draft, command: inputs.HandBack) -> Refusal | None:
    """Let a stream do its work again, on top of what it could not be merged with."""
    state = draft.state
    refusal = why_not_now(state)
    if refusal:
        return refusal
    found = [(p, c) for p, c in open_conflicts(state) if command.stream in c.streams]
    if not found:
        return Refusal(
            f"{command.stream} is in no conflict that waits",
            "`anabranch conflicts` lists what there is to decide",
        )
    point_id, conflict = found[-1]
    stream = state.streams[command.stream]
    if stream.phase is not Phase.SUCCEEDED or stream.result is None:
        return Refusal(f"{stream.id} is {stream.phase}", "only finished work can be handed back")
    if state.has_ended:
        draft.cause = draft.emit(ev.RunReopened(reason=command.reason))
    builds_on = _others(state, point_id, conflict, stream.id)
    event = ev.ConflictHandedBack(
        stream.id,
        attempt=stream.attempt,
        point=point_id,
        conflict=conflict,
        builds_on=builds_on,
        reason=command.reason,
    )
    draft.cause = draft.emit(event)
    draft.emit(ev.StreamRequeued(stream.id, reason=f"handed back: {_in_words(conflict)}"))
    tell(draft, stream.id, _note_on(point_id, conflict, command.note))
    for point in dict.fromkeys((point_id, *convergence.points_of(state, stream.id))):
        _go_on(draft, point, command.reason)
    return None


def _others(
    state: State, point_id: PointId, conflict: ev.Conflict, stream: StreamId
) -> tuple[StreamId, ...]:
    """Return whose work a stream is given, when it does its own again: all that merged so far."""
    point = state.points[point_id]
    late = {c.late for c in point.conflicts} - {conflict.late}
    without = late | {stream} | state.topology.descendants(stream)
    family = conflict.streams if conflict.halts else (*point.merging, *conflict.streams)
    return tuple(s for s in dict.fromkeys(family) if s not in without)


def _note_on(point: PointId, conflict: ev.Conflict, note: str = "") -> dict[str, object]:
    """Return a conflict as the message that a stream gets about it."""
    body: dict[str, object] = {
        "conflict": {
            "point": point,
            "streams": list(conflict.streams),
            "paths": [
                {"path": p.path, "kind": p.kind, "base": p.base, "ours": p.ours, "theirs": p.theirs}
                for p in conflict.paths[:50]
            ],
        },
        "text": f"{_in_words(conflict)}; your workspace holds what the others brought",
    }
    return {**body, "note": note} if note else body


def _in_words(conflict: ev.Conflict) -> str:
    return conflicting(conflict.streams, [path.path for path in conflict.paths])


# --- the plan's resolver -------------------------------------------------------------------------


def resolver_finished(draft: Draft, fact: inputs.ResolverFinished) -> None:
    """Take what the resolver has settled; what it has not is dealt with as the plan says."""
    point = draft.point(fact.point)
    if not point.resolving or fact.cause not in (None, point.resolver_cause):
        return
    streams = {key_of(p): c.streams for c in point.resolving for p in c.paths}
    settled = [r for r in fact.resolutions if key_of(r) in streams]
    for resolution in settled:
        whose = streams[key_of(resolution)]
        draft.emit(
            ev.ConflictResolved(
                point=fact.point, streams=whose, resolution=resolution, by="resolver"
            )
        )
    draft.emit(ev.ResolverEnded(fact.point, reason=fact.reason, resolved=len(settled)))
    reason = _after_resolver(settled, fact)
    _go_on(draft, fact.point, reason)
    _go_on_where_decided(draft, reason)  # other points may wait for the very same decision


def _after_resolver(settled: Sequence[ev.Resolution], fact: inputs.ResolverFinished) -> str:
    return "the resolver has settled it" if settled else f"the resolver has not: {fact.reason}"
