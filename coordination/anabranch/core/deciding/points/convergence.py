"""Decisions about convergence points: who has arrived, when to merge, what a conflict means.

Every stream takes part in the point its plan names and in the run's final point, which merges
everything. A participant that ends without a result departs, so nobody waits for it; one whose
result waits for a review comes when that was taken. A point whose strategy still waits when nobody
is left to come is abandoned rather than left open for ever.
"""

from __future__ import annotations

from math import inf

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.locks.violations import why_not_merged
from anabranch.core.deciding.points import adopting, checkpoints
from anabranch.core.effects import WakeAt
from anabranch.core.folds.adoption import may_count
from anabranch.core.folds.inheritance import left_out_below
from anabranch.core.folds.resolutions import resolver_is_due
from anabranch.core.folds.reviews import held_up_by, waits_for_review
from anabranch.core.folds.verifying import needs_check
from anabranch.core.ids import FINAL_POINT, PointId, StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Point, PointPhase, State, Stream
from anabranch.core.strategies import (
    Abandon,
    AskForOne,
    Checkpoint,
    Converge,
    PointDecision,
    PointView,
    WaitForMore,
    abilities_of,
    fallbacks,
    options_for,
)
from anabranch.core.strategies.point_laws import LEAST_LOOK_SECONDS, fault_of
from anabranch.core.wording import clauses, conflicting

RESOLVER_AT_WORK = "the resolver is at work"

OPEN = "the run is open: what is added next is merged here too"

NEWS_SECONDS = 10.0
"""A strategy's reason to wait that only changes with the clock is not recorded more often."""


def participants(state: State, point: PointId) -> tuple[StreamId, ...]:
    """Return who meets at a point, in plan order."""
    if point == FINAL_POINT:
        return state.topology.jobs
    return state.point_plan(point).streams


def points_of(state: State, stream: StreamId) -> tuple[PointId, ...]:
    """Return the points a stream takes part in, the final one last."""
    own = state.stream_plan(stream).points
    if stream in state.topology.services:
        return ()
    return own if FINAL_POINT in own else (*own, FINAL_POINT)


def report_end(draft: Draft, stream: Stream) -> None:
    """Let an ended stream arrive at, or depart from, each of its points.

    Other points may be held up by it too, because their streams were built on it.
    """
    own = points_of(draft.state, stream.id)
    for point_id in own:
        _report_end_at(draft, stream, draft.point(point_id))
        if draft.state.topology.reviewed:
            consult(draft, point_id)  # a run that is to end does not wait for a review
    for point_id in draft.state.topology.points:
        if point_id not in own:
            consult(draft, point_id)


def _report_end_at(draft: Draft, stream: Stream, point: Point) -> None:
    if stream.id in point.adoption.asked and stream.phase is not Phase.SUCCEEDED:
        reopen(draft, point.id, f"{stream.id} cannot be adopted any more: {stream.reason}")
        return
    # Whoever comes while a part is being merged is there when the point opens again.
    goes_on = not point.is_last_merge or bool(point.adoption.trial_of)
    is_open = point.phase is PointPhase.OPEN or (goes_on and not point.is_settled)
    if not is_open:
        return
    if adopting.is_held_back(draft.state, stream, point.id):
        why = adopting.given_up(draft.state, stream)
        if why is not None and stream.id not in point.departed:
            draft.emit(ev.ConvergenceDeparted(point.id, stream=stream.id, reason=why))
    elif stream.phase is Phase.SUCCEEDED:
        if stream.id not in point.arrived and not held_up_by(draft.state, stream.id):
            draft.emit(ev.ConvergenceArrived(point.id, stream=stream.id))
    elif stream.id not in point.departed:
        draft.emit(ev.ConvergenceDeparted(point.id, stream=stream.id, reason=stream.reason))


def held_up_at(state: State, point: Point) -> list[StreamId]:
    """Return who has succeeded and has not come to a point yet, because a review is awaited."""
    if not state.topology.reviewed:
        return []
    here = {*point.arrived, *point.departed}
    return [
        name
        for name in participants(state, point.id)
        if name not in here
        and state.streams[name].phase is Phase.SUCCEEDED
        and held_up_by(state, name)
    ]


def reopen(draft: Draft, point_id: PointId, reason: str) -> None:
    """Open a point again and let everyone who has ended report once more."""
    draft.emit(ev.ConvergenceReopened(point_id, reason=reason))
    for stream_id in participants(draft.state, point_id):
        stream = draft.stream(stream_id)
        if stream.has_ended:
            _report_end_at(draft, stream, draft.point(point_id))


def follow_adoption(draft: Draft, point_id: PointId) -> None:
    """Let those go on, or depart, who met at a point that has adopted one, or has been given up."""
    point, stopped = draft.point(point_id), draft.state.stop_reason
    if point.phase is PointPhase.BLOCKED and stopped:  # nobody decides about it in this run
        _abandon(draft, point_id, f"the run was stopped: {stopped}")
        return
    if point.phase not in (PointPhase.MERGED, PointPhase.ABANDONED):
        return
    if point.phase is PointPhase.MERGED:
        adopting.pass_over_the_others(draft, point_id, adopting.not_adopted(point))
    for stream_id in participants(draft.state, point_id):
        stream = draft.stream(stream_id)
        for other in points_of(draft.state, stream_id):
            if stream.has_ended and other != point_id:
                _report_end_at(draft, stream, draft.point(other))


def consult(draft: Draft, point_id: PointId) -> None:
    """Ask the point's strategy what comes next, and record its answer."""
    point, state = draft.point(point_id), draft.state
    if point.phase is not PointPhase.OPEN or state.base is None:
        return
    if any(other.is_busy for other in state.points.values()):
        return  # one merge may leave out what another would take, so they follow each other
    view = _view_of(draft, point)
    called_off = conflict_that_stops(state)
    is_over = called_off or state.stop_reason
    if is_over and view.outstanding == len(held_up_at(state, point)):
        stopped = f"the run was stopped: {state.stop_reason}"
        _abandon(draft, point_id, f"called off: {called_off}" if called_off else stopped)
        return
    if adopting.try_alone(draft, view):
        return  # asked again when it is known how that one stands
    decision = _lawful_answer(draft, view)
    if isinstance(decision, Abandon):
        _abandon(draft, point_id, decision.reason)
        if view.adopts_one:
            adopting.pass_over_the_others(draft, point_id, decision.reason)
    elif isinstance(decision, AskForOne):
        asked = ev.AdoptionAsked(point_id, streams=decision.streams, reason=decision.reason)
        draft.emit(asked)
    elif isinstance(decision, Converge):
        if adopting.asks_before(draft, point, decision.streams[0], decision.reason):
            return
        checkpoints.call_off(draft, point_id, "the point converges")
        # The run's last point stays open as long as somebody may come: nobody is forgotten.
        is_final = decision.is_final and (point_id != FINAL_POINT or not view.outstanding)
        _start_merge(draft, point_id, replace(decision, is_final=is_final))
    elif isinstance(decision, Checkpoint):
        _checkpoint(draft, point, decision, view)
    elif isinstance(decision, WaitForMore):
        is_idle = may_grow(state, point_id) and view.outstanding == 1
        _wait(draft, point, replace(decision, reason=OPEN) if is_idle else decision)


def may_grow(state: State, point_id: PointId) -> bool:
    """Return whether more streams may come to a point than the plan knows by now."""
    return state.plan.is_open and not state.stop_reason and point_id == FINAL_POINT


def _view_of(draft: Draft, point: Point) -> PointView:
    """Return what the point's strategy is shown."""
    state, plan = draft.state, draft.state.point_plan(point.id)
    strategy, priority = draft.strategies.convergence_type(plan.type), state.topology.priority
    return PointView(
        point=point.id,
        expected=len(participants(state, point.id)) + may_grow(state, point.id),
        arrived=point.arrived,
        departed=point.departed,
        options=options_for(abilities_of(strategy).options_type, plan.options),
        arrived_at=point.arrived_at,
        priorities={s: priority[s] for s in point.arrived},
        running=_at_work(state, point.id) if plan.takes_checkpoints else {},
        merged=point.merged,
        left_out=tuple(point.left_out),
        opened_at=point.opened_at,
        checkpoint_at=point.checkpoint.finished_at,
        interval_seconds=plan.interval_seconds,
        adopts_one=plan.adopts_one,
        adopted=adopting.adopted_here(point) if plan.adopts_one else None,
        failed_check=adopting.failed_checks(state, point),
        files_changed=_sizes(state, point) if plan.adopts_one else {},
    )


def _sizes(state: State, point: Point) -> dict[StreamId, int]:
    """Return of how many files the work of those is who have arrived."""
    results = ((s, state.streams[s].result) for s in point.arrived)
    return {s: result.files_changed for s, result in results if result is not None}


def _lawful_answer(draft: Draft, view: PointView) -> PointDecision:
    """Ask the point's strategy; if its answer would lose somebody's work, the core's own decides.

    A plugin's is found out by its guard, which tells of it by name, so this is the last line.
    """
    strategy = draft.strategies.convergence_type(draft.state.point_plan(view.point).type)
    decision = strategy.next_step(view, draft.now)
    if fault_of(view, decision):
        return fallbacks.CONVERGENCE.next_step(view, draft.now)
    return decision


def _abandon(draft: Draft, point_id: PointId, reason: str) -> None:
    checkpoints.call_off(draft, point_id, reason)
    draft.emit(ev.ConvergenceAbandoned(point_id, reason=reason))


def _checkpoint(draft: Draft, point: Point, decision: Checkpoint, view: PointView) -> None:
    """Begin a checkpoint, if the last one is over and not just a moment ago."""
    if checkpoints.is_under_way(draft.state, point):
        return  # asked again when it is over
    earliest = checkpoints.may_begin_at(point)
    if draft.now < earliest:
        _wait(draft, point, WaitForMore(decision.reason, earliest))
    else:
        checkpoints.begin(draft, point, decision, view.running)


def _wait(draft: Draft, point: Point, decision: WaitForMore) -> None:
    """Note when the strategy wants to be asked again, if that has changed.

    When it was asked because of the clock alone, and has nothing new to say, no event says so: it
    is asked again at its time, and after a restart at once.
    """
    at = decision.look_again_at
    if at is not None:  # one that is past needs something to happen first
        at = max(at, draft.now + LEAST_LOOK_SECONDS) if draft.now < at < inf else None
    due = point.looks_again_at
    is_news = decision.reason != point.reason and draft.now - point.looked_at >= NEWS_SECONDS
    if at is not None and due is not None and due <= draft.now and not is_news:
        cause = point.looks_again_cause
        draft.wakes.append(WakeAt(at=at, subject=f"point {point.id}", cause=cause, replaces=True))
    elif at != due:
        draft.emit(ev.ConvergenceWaits(point.id, reason=decision.reason, look_again_at=at))


def time_reached(draft: Draft) -> None:
    """Ask the strategies that wanted to be asked again by now."""
    for point_id in draft.state.topology.points:
        at = draft.point(point_id).looks_again_at
        if at is not None and at <= draft.now:
            consult(draft, point_id)


def consult_in_turn(draft: Draft) -> None:
    """Ask every point, where somebody has waited longest for a merge first, the final one last."""
    state = draft.state

    def turn(point_id: PointId) -> tuple[bool, float]:
        since = waiting_since(state.points[point_id])
        return point_id == FINAL_POINT, min(since.values(), default=inf)

    for point_id in sorted(state.topology.points, key=turn):
        consult(draft, point_id)


def waiting_since(point: Point) -> dict[StreamId, float]:
    """Return who has arrived and is in no merge yet, and since when, in order of arrival."""
    if point.phase is not PointPhase.OPEN:
        return {}
    done = {*point.merged, *point.left_out}
    return {s: point.arrived_at.get(s, point.since) for s in point.arrived if s not in done}


def _at_work(state: State, point: PointId) -> dict[StreamId, float]:
    """Return who is at work in a workspace of its own for this point first, and since when."""
    found: dict[StreamId, float] = {}
    for stream_id in participants(state, point):
        plan, stream = state.stream_plan(stream_id), state.streams[stream_id]
        if stream.phase is Phase.RUNNING and plan.converge == point and plan.workspace != "shared":
            found[stream_id] = stream.since
    return found


def conflict_that_stops(state: State) -> str | None:
    """Return the conflict after which the plan wants the whole run to end, if there was one."""
    for plan in state.plan.points:
        point = state.points[plan.id]
        if plan.on_conflict == "stop" and point.phase is PointPhase.ABANDONED and point.conflicts:
            return point.reason
    return None


def _start_merge(draft: Draft, point_id: PointId, decision: Converge) -> None:
    """Merge the chosen streams and all they were built on, each after what it depends on."""
    state = draft.state
    family = state.topology.ancestors(decision.streams)
    if any(state.streams[s].phase is Phase.CAPTURING for s in family):
        return  # its work is being kept once more; :func:`consult` is called again after that
    done = [s for s in family if state.streams[s].phase is Phase.SUCCEEDED]
    counting = [s for s in done if s in decision.streams or may_count(state, s)]
    streams = [s for s in counting if not waits_for_review(state, s)]  # they come by themselves
    in_order = tuple(state.topology.in_merge_order(streams))
    if not decision.is_final:
        in_order = _without_those_refused(draft, point_id, in_order)
        if set(in_order) <= set(state.points[point_id].merged):
            return  # nothing is new
    refusal = why_not_merged(state, in_order)
    if refusal:
        draft.emit(ev.ConvergenceBlocked(point_id, reason=refusal))
        return
    adopting.note_choice(draft, draft.point(point_id), decision.streams[0], decision.reason)
    draft.emit(
        ev.ConvergenceStarted(
            point_id, streams=in_order, reason=decision.reason, is_final=decision.is_final
        )
    )
    if decision.is_final:
        _name_the_unchosen(draft, point_id, decision.reason)
    is_checked = bool(state.point_plan(point_id).verify)
    if not is_checked and all(state.streams[s].result is None for s in in_order):
        assert state.base is not None
        commit, tree, is_final = state.base.commit, state.base.tree, decision.is_final
        draft.emit(
            ev.ConvergenceMerged(
                point_id, commit=commit, tree=tree, branch=None, merged=in_order, is_final=is_final
            )
        )


def _name_the_unchosen(draft: Draft, point_id: PointId, reason: str) -> None:
    """Name who has arrived and has no part in a point's last merge: nobody goes without a word."""
    point = draft.point(point_id)
    unchosen = tuple(s for s in point.arrived if s not in set(point.merging))
    if unchosen:
        plan = draft.state.point_plan(point_id)
        why = f"{plan.type} did not choose it: {reason}"
        why = adopting.not_adopted(point) if plan.adopts_one else why
        draft.emit(ev.ConvergenceLeftOut(point_id, streams=unchosen, reason=why))


def _without_those_refused(
    draft: Draft, point_id: PointId, streams: tuple[StreamId, ...]
) -> tuple[StreamId, ...]:
    """Leave out until the last merge what may not be merged yet, and what was built on that."""
    out = set(draft.point(point_id).left_out)
    for stream_id in streams:
        refusal = why_not_merged(draft.state, (stream_id,))
        below = draft.state.topology.ancestors((stream_id,)) & out
        if stream_id not in out and (refusal or below):
            reason = refusal or f"built on {min(below)}, which is left out so far"
            draft.emit(ev.ConvergenceLeftOut(point_id, streams=(stream_id,), reason=reason))
            out.add(stream_id)
    return tuple(s for s in streams if s not in out)


def merge_finished(draft: Draft, fact: inputs.MergeFinished) -> None:
    """Record what merged, and deal with what did not as the plan says."""
    if not _is_awaited(draft, fact):
        return
    for conflict in fact.conflicts:
        draft.emit(ev.ConflictFound(fact.point, conflict=conflict))
    if not draft.point(fact.point).is_last_merge:
        _part_merged(draft, fact)
        return
    due = tuple(c for c in fact.conflicts if resolver_is_due(draft.state, fact.point, c))
    if due:
        reason = f"{conflicts_in_words(fact)}; {RESOLVER_AT_WORK}"
        draft.emit(ev.ConvergenceBlocked(fact.point, reason=reason))
        start_resolver(draft, fact.point, due[:1])  # what follows depends on how it is settled
        return
    policy = draft.state.point_plan(fact.point).on_conflict
    if fact.conflicts and policy != "quarantine":
        reason = conflicts_in_words(fact)
        blocked = policy == "ask"
        draft.emit(
            ev.ConvergenceBlocked(fact.point, reason=reason)
            if blocked
            else ev.ConvergenceAbandoned(fact.point, reason=reason)
        )
        return
    _quarantine_the_left_out(draft, fact)
    accept_merge(draft, fact)


def _part_merged(draft: Draft, fact: inputs.MergeFinished) -> None:
    """Go on without what conflicts in a merge that is not the point's last.

    Unless the plan says what to do with it at once, the last merge tries again, and asks.
    """
    policy = draft.state.point_plan(fact.point).on_conflict
    is_due = any(resolver_is_due(draft.state, fact.point, c) for c in fact.conflicts)
    if fact.conflicts and policy == "stop" and not is_due:
        draft.emit(ev.ConvergenceAbandoned(fact.point, reason=conflicts_in_words(fact)))
        return
    late = tuple(s for s in draft.point(fact.point).merging if s not in fact.merged)
    if late and policy == "quarantine" and not is_due:
        _quarantine_the_left_out(draft, fact)
    elif late:
        draft.emit(ev.ConvergenceLeftOut(fact.point, streams=late, reason=conflicts_in_words(fact)))
    accept_merge(draft, fact)


def accept_merge(draft: Draft, fact: inputs.MergeFinished) -> None:
    """Let a merge count: the one place where something may still hold it back."""
    assert fact.commit is not None
    assert fact.tree is not None
    if fact.merged and needs_check(draft.state, fact.point, fact.tree):
        draft.emit(ev.VerifyStarted(fact.point, streams=fact.merged))
        return
    draft.emit(
        ev.ConvergenceMerged(
            fact.point,
            commit=fact.commit,
            tree=fact.tree,
            branch=fact.branch,
            merged=fact.merged,
            warnings=fact.warnings,
            is_final=draft.point(fact.point).is_last_merge,
        )
    )


def start_resolver(draft: Draft, point_id: PointId, conflicts: tuple[ev.Conflict, ...]) -> None:
    """Ask the plan's resolver, one at a time a point: what comes up meanwhile comes up again."""
    if not draft.point(point_id).resolving:
        draft.emit(ev.ResolverStarted(point_id, conflicts=conflicts))


def _quarantine_the_left_out(draft: Draft, fact: inputs.MergeFinished) -> None:
    """Take what did not merge out of the run, and with it what was built on that."""
    merged = set(fact.merged)
    if merged.issuperset(draft.point(fact.point).merging):
        return
    reason = f"left out of {fact.point}: {conflicts_in_words(fact)}"
    for stream_id in draft.point(fact.point).merging:
        if stream_id not in merged and draft.stream(stream_id).phase is Phase.SUCCEEDED:
            leave_out(draft, stream_id, fact.point, reason)
    for plan in draft.state.plan.streams:
        below = left_out_below(draft.state, plan.id)
        if below and draft.stream(plan.id).phase is Phase.SUCCEEDED:
            leave_out(draft, plan.id, plan.converge, f"built on {below}, which was left out")


def leave_out(draft: Draft, stream: StreamId, point: PointId, reason: str) -> None:
    """Quarantine a stream at a point, and let its points know before one of them merges."""
    draft.emit(ev.StreamQuarantined(stream, reason=reason, point=point))
    report_end(draft, draft.stream(stream))


def conflicts_in_words(fact: inputs.MergeFinished) -> str:
    """Return one sentence that names the streams and the first paths."""
    return clauses([conflicting(c.streams, [p.path for p in c.paths]) for c in fact.conflicts], 2)


def merge_failed(draft: Draft, fact: inputs.MergeFailed) -> None:
    """Block a point whose merge could not be done at all: nothing is lost, a person has to look."""
    if _is_awaited(draft, fact):
        draft.emit(ev.ConvergenceBlocked(fact.point, reason=fact.reason, is_fault=True))


def _is_awaited(draft: Draft, fact: inputs.MergeFinished | inputs.MergeFailed) -> bool:
    """Say whether a point waits for just this merge, and not for one after it was opened again."""
    point = draft.point(fact.point)
    return point.phase is PointPhase.MERGING and fact.cause in (None, point.cause)


def recapture_conflicting(draft: Draft, reason: str) -> None:
    """Capture both sides of a conflict again after a person worked on it, and try again."""
    state = draft.state
    streams = [
        stream
        for plan in state.plan.points
        for conflict in state.points[plan.id].conflicts
        for stream in conflict.streams
    ]
    for stream_id in dict.fromkeys(streams):
        stream = draft.stream(stream_id)
        if stream.phase is Phase.SUCCEEDED and stream.workspace:
            draft.emit(ev.RecaptureRequested(stream_id, reason=reason))
