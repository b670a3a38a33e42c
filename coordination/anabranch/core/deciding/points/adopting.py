"""Adoption: at some points one of several counts, and the others are kept and named.

Each that arrives is checked alone, if the point has a check. The point's type then chooses one, or
has a person asked. Once that one is merged the others are passed over: they have not failed, and
their work stays where it is. Until then none of them is anywhere else: at its further points a
stream arrives when it has been adopted, and departs when another one is.
"""

from __future__ import annotations

from collections.abc import Iterator

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.terminal import look_at
from anabranch.core.folds.reviews import needs_taking
from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.outcome import NotYet, Refusal
from anabranch.core.model.state import Point, PointPhase, RunPhase, State, Stream
from anabranch.core.plans.plan import PointPlan
from anabranch.core.strategies import PointView
from anabranch.core.wording import clauses, listing

BY_TYPE = "type"
MOST_NAMED = 3


def failed_checks(state: State, point: Point) -> dict[StreamId, str]:
    """Return who fails the point's check alone, each with the reason."""
    return {s: t.reason for s, t in point.adoption.trials.items() if not t.passed}


def adopted_here(point: Point) -> StreamId | None:
    """Return who is adopted and can be merged; None if nobody is yet, or not any more."""
    chosen = point.adoption.adopted
    return chosen if chosen in point.arrived else None


def race_each_other(state: State, one: StreamId, other: StreamId) -> bool:
    """Return whether only one of two streams will be merged, so that they never meet."""
    places = state.topology.adopted_at
    return one in places and places[one] == places.get(other)


# --- at the point --------------------------------------------------------------------------------


def try_alone(draft: Draft, view: PointView) -> bool:
    """Begin to check the work of one who has arrived, alone; False if nobody is left to check."""
    state, point = draft.state, draft.point(view.point)
    plan = state.point_plan(view.point)
    if not (plan.adopts_one and plan.verify) or view.adopted is not None:
        return False
    unseen = next((s for s in view.arrived if s not in point.adoption.trials), None)
    if unseen is None:
        return False
    family = state.topology.ancestors((unseen,))
    streams = [s for s in family if state.streams[s].phase is Phase.SUCCEEDED]
    in_order = tuple(state.topology.in_merge_order(streams))
    draft.emit(ev.VerifyStarted(view.point, streams=in_order, trial_of=unseen))
    return True


def asks_before(draft: Draft, point: Point, chosen: StreamId, reason: str) -> bool:
    """Have a person asked about whom the point's type has chosen, if that needs a review."""
    place = draft.state.topology.adopted_at.get(chosen)
    if place != point.id or point.adoption.adopted == chosen:
        return False
    if not needs_taking(draft.state, chosen):
        return False
    why = f"{reason}; its work waits for your review"
    draft.emit(ev.AdoptionAsked(point.id, streams=(chosen,), reason=why))
    return True


def note_choice(draft: Draft, point: Point, chosen: StreamId, reason: str) -> None:
    """Write down whom a point's type has adopted, unless a person has."""
    if draft.state.point_plan(point.id).adopts_one and point.adoption.adopted != chosen:
        draft.emit(ev.StreamAdopted(point.id, stream=chosen, reason=reason, by=BY_TYPE))


def pass_over_the_others(draft: Draft, point_id: PointId, reason: str) -> None:
    """Keep the work of those who are not adopted, and take them out of the run."""
    for stream_id in draft.state.point_plan(point_id).streams:
        stream = draft.stream(stream_id)
        if stream.phase is Phase.SUCCEEDED and stream_id not in draft.point(point_id).merged:
            why = failed_checks(draft.state, draft.point(point_id)).get(stream_id)
            said = f"{reason}; it fails the check: {why}" if why else reason
            draft.emit(ev.StreamPassedOver(stream_id, point=point_id, reason=said))


def not_adopted(point: Point) -> str:
    """Return why those are left out who are not adopted."""
    return f"not adopted: {point.adoption.adopted} is"


def is_held_back(state: State, stream: Stream, point: PointId) -> bool:
    """Return whether a stream has yet to be adopted before it comes to a point."""
    place = state.topology.adopted_at.get(stream.id)
    if place in (None, point) or stream.phase is not Phase.SUCCEEDED:
        return False
    assert place is not None
    return stream.id not in state.points[place].merged


def given_up(state: State, stream: Stream) -> str | None:
    """Return why a stream that is held back will never be adopted, None if it may still be."""
    place = state.topology.adopted_at.get(stream.id)
    if place is None or state.points[place].phase is not PointPhase.ABANDONED:
        return None
    return f"{place} was given up: {state.points[place].reason}"


def unadopted(state: State) -> Iterator[str]:
    """Yield each point that had to adopt somebody and has not, with the reason."""
    for plan in state.plan.points:
        if plan.adopts_one and not plan.is_optional and not _has_adopted(state, plan):
            yield f"nobody is adopted at {plan.id}: {_why_nobody(state, plan)}"


def _has_adopted(state: State, plan: PointPlan) -> bool:
    point = state.points[plan.id]
    chosen = point.adoption.adopted
    if point.phase is not PointPhase.MERGED or chosen not in point.merged:
        return False
    assert chosen is not None
    return state.streams[chosen].phase is Phase.SUCCEEDED


def _why_nobody(state: State, plan: PointPlan) -> str:
    failed = failed_checks(state, state.points[plan.id])
    streams = [state.streams[s] for s in plan.streams]
    ends = [f"{s.id}: {failed.get(s.id) or s.reason}" for s in streams]
    return clauses(ends, MOST_NAMED) or state.points[plan.id].reason


# --- by hand -------------------------------------------------------------------------------------


def adopt(draft: Draft, command: inputs.AdoptStream) -> Refusal | None:
    """Let a stream be the one that counts at its point."""
    state = draft.state
    refusal = why_not_adopted(state, command.stream)
    if refusal is not None:
        return refusal
    place = state.topology.adopted_at[command.stream]
    if state.has_ended:
        draft.cause = draft.emit(ev.RunReopened(reason=command.reason))
    if needs_taking(state, command.stream):
        stream = state.streams[command.stream]
        assert stream.result is not None
        taken = ev.ReviewTaken(stream.id, attempt=stream.attempt, commit=stream.result.commit)
        draft.emit(taken)
    draft.emit(ev.StreamAdopted(place, stream=command.stream, reason=command.reason))
    racing = tuple(s for s, at in state.topology.adopted_at.items() if at == place)
    look_at(draft, inputs.LookAt(streams=racing))
    return None


def why_not_adopted(state: State, name: StreamId) -> Refusal | None:
    """Return why a stream cannot be adopted now, None if it can."""
    stream = state.streams.get(name)
    places = [plan for plan in state.plan.points if plan.adopts_one]
    if not places:
        return Refusal("this run has no race", "`anabranch race N -- CMD` runs one")
    can_be = [s for plan in places for s in state.points[plan.id].adoption.asked]
    names = listing(can_be, 8) or listing([s for plan in places for s in plan.streams], 8)
    place = state.topology.adopted_at.get(name)
    if stream is None or place is None:
        what = f"there is no stream {name!r}" if stream is None else f"{name} is in no race"
        return Refusal(what, f"adopt one of {names}")
    return _why_not_at(state, state.points[place], stream)


def _why_not_at(state: State, point: Point, stream: Stream) -> Refusal | None:
    name, chosen = stream.id, point.adoption.adopted
    if state.phase is RunPhase.STOPPING:
        return Refusal("the run is stopping", "adopt one when it has stopped, and resume it")
    if point.phase is PointPhase.MERGED:
        if name == chosen:
            return Refusal(f"{name} is adopted already", "nothing is left to do")
        ref = stream.result.ref if stream.result else ""
        way = f"to have it all the same: git merge {ref}" if ref else "its log says what it did"
        return Refusal(f"{point.id} is decided: {chosen} is adopted, and merged", way)
    if point.is_busy or any(p.is_busy for p in state.points.values()):
        return NotYet("results are being merged or checked", "try again in a moment")
    if stream.has_ended and stream.phase is not Phase.SUCCEEDED:
        others = listing(point.adoption.asked, 8) or "one that has"
        return Refusal(f"{name} has not succeeded: {stream.reason}", f"adopt {others}")
    if why := failed_checks(state, point).get(name):
        hint = f"see anabranch race --compare {point.id}; adopt one that passes, or mend the check"
        return Refusal(f"{name} fails the check of {point.id}: {why}", hint)
    if name not in point.adoption.asked:
        ends = [s for s in state.point_plan(point.id).streams if not state.streams[s].has_ended]
        hint = f"{listing(ends, MOST_NAMED)} still {'works' if len(ends) == 1 else 'work'}"
        away = f"{hint}; wait, or stop what you do not want" if ends else "resume the run first"
        return Refusal(f"{point.id} does not ask for one to adopt yet", away)
    return None


def way_to_adopt(state: State) -> str | None:
    """Return how a person can decide what a point asks for, None if none does."""
    for plan in state.plan.points:
        asked = state.points[plan.id].adoption.asked
        if asked:
            also = f" (or {listing(asked[1:], MOST_NAMED)})" if len(asked) > 1 else ""
            compare = f"anabranch race --compare {plan.id} shows them side by side"
            return f"{compare}; anabranch adopt {asked[0]}{also}"
    return None
