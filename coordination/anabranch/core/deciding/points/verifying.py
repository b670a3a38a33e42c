"""A merged result counts only once the point's ``verify`` command has passed on it.

If it fails, as often as the plan lets it (``verify_retries``),
:mod:`anabranch.core.deciding.points.bisection` says what to check next until the guilty are found.
They are left out with their work kept, and the rest is merged and checked again; or the point is
given up, as the plan says. Results are remembered by tree, so nothing is checked twice in a run,
but for what an accusation stands on: if that comes out differently the check proves nothing, and a
person has to look.
"""

from __future__ import annotations

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.points import convergence
from anabranch.core.deciding.points.bisection import (
    BaseFails,
    Guilty,
    Passes,
    Probe,
    Unreliable,
    next_step,
)
from anabranch.core.folds.inheritance import LEFT_OUT, left_out_below
from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Point, PointPhase, State
from anabranch.core.wording import listing


def verify_finished(draft: Draft, fact: inputs.VerifyFinished) -> None:
    """Record a result, and go on with what follows from it."""
    point = draft.point(fact.point)
    is_awaited = point.phase is PointPhase.VERIFYING and fact.cause in (None, point.probe_cause)
    if not is_awaited or fact.streams != point.probe:
        return
    if fact.passed is None:
        draft.emit(ev.VerifyAborted(fact.point, streams=fact.streams, reason=fact.reason))
        draft.emit(
            ev.ConvergenceBlocked(fact.point, reason=f"verify came to no result: {fact.reason}")
        )
        return
    remembered, failures = fact.is_remembered, point.probe_failures
    is_trial = bool(point.adoption.trial_of)
    if fact.passed:
        draft.emit(
            ev.VerifyPassed(
                fact.point,
                streams=fact.streams,
                tree=fact.tree,
                seconds=fact.seconds,
                is_remembered=remembered,
                failures=failures,
            )
        )
    elif _may_try_again(draft, point, fact):
        draft.emit(
            ev.VerifyRetried(
                fact.point,
                streams=fact.streams,
                failures=failures + 1,
                exit_code=fact.exit_code,
                reason=fact.reason,
                log=fact.log,
            )
        )
        return
    else:
        draft.emit(
            ev.VerifyFailed(
                fact.point,
                streams=fact.streams,
                tree=fact.tree,
                exit_code=fact.exit_code,
                reason=fact.reason,
                seconds=fact.seconds,
                log=fact.log,
                is_remembered=remembered,
            )
        )
    if not is_trial:  # else the point is open again, and asks its type
        _go_on(draft, fact.point)


def _may_try_again(draft: Draft, point: Point, fact: inputs.VerifyFinished) -> bool:
    """Say whether a failure may be chance; work that does not merge or is known to fail is not."""
    most = draft.state.point_plan(point.id).verify_retries
    return bool(fact.tree) and not fact.is_remembered and point.probe_failures < most


def _go_on(draft: Draft, point_id: PointId) -> None:
    state, point = draft.state, draft.point(point_id)
    reason = point.check_failure  # what was looked at last may have passed: the good half
    order = state.topology.in_merge_order(point.checking)
    known = {frozenset(streams): passed for streams, passed in point.probes}
    again = {frozenset(streams): passed for streams, passed in point.probes_again}
    step = next_step(order, lambda stream: state.topology.ancestors([stream]), known, again)
    if isinstance(step, Probe):
        draft.emit(ev.VerifyStarted(point_id, streams=step.streams, is_again=step.is_again))
    elif isinstance(step, Passes):
        draft.emit(
            ev.ConvergenceStarted(
                point_id, streams=point.checking, reason="verified", is_final=point.is_last_merge
            )
        )
    elif isinstance(step, BaseFails):
        why = f"verify fails on what everybody started from, so nobody is to blame: {reason}"
        draft.emit(ev.ConvergenceBlocked(point_id, reason=why))
    elif isinstance(step, Unreliable):
        _cannot_tell(draft, point, step)
    else:
        _deal_with(draft, point, step, reason)


def _cannot_tell(draft: Draft, point: Point, found: Unreliable) -> None:
    """Block a point whose check says now this, now that of the same work: nobody is to blame."""
    whom = listing(found.streams, 3) or "what everybody started from"
    reason = f"verify is not reliable: with {whom} it has passed once and failed once"
    draft.emit(ev.VerifyUnreliable(point.id, streams=found.streams, reason=reason))
    hint = "nobody is left out; mend the check, or let it be tried again with verify_retries"
    draft.emit(ev.ConvergenceBlocked(point.id, reason=f"{reason}; {hint}"))


def _deal_with(draft: Draft, point: Point, found: Guilty, reason: str) -> None:
    """Leave out the late one of those that are guilty, or give the point up."""
    names = " together with ".join(found.streams[::-1])
    verdict = f"verify fails with {names}: {reason}"
    runs = len(point.probes) + len(point.probes_again)
    draft.emit(ev.GuiltyFound(point.id, streams=found.streams, runs=runs, reason=verdict))
    if draft.state.point_plan(point.id).on_failure == "stop":
        draft.emit(ev.ConvergenceAbandoned(point.id, reason=verdict))
        return
    late = found.streams[-1]
    convergence.leave_out(draft, late, point.id, f"left out of {point.id}: {verdict}")
    for plan in draft.state.plan.streams:
        below = left_out_below(draft.state, plan.id)
        if below and draft.stream(plan.id).phase is Phase.SUCCEEDED:
            why = f"built on {below}, which was left out"
            convergence.leave_out(draft, plan.id, plan.converge, why)
    _merge_the_rest(draft, point, late)
    _open_where_it_counted(draft, point.id, verdict)


def _open_where_it_counted(draft: Draft, here: PointId, reason: str) -> None:
    """Open other points again that have merged what is left out now."""
    state = draft.state
    out = {s.id for s in state.streams.values() if s.phase in LEFT_OUT}
    for plan in state.plan.points:
        other = state.points[plan.id]
        if plan.id != here and other.phase is PointPhase.MERGED and out & set(other.merged):
            convergence.reopen(draft, plan.id, reason)


def _merge_the_rest(draft: Draft, point: Point, without: StreamId) -> None:
    state = draft.state
    rest = tuple(s for s in point.checking if state.streams[s].phase is Phase.SUCCEEDED)
    if not rest and state.point_plan(point.id).adopts_one:
        convergence.reopen(draft, point.id, f"{without} is left out; another can be adopted")
        return
    if not rest:
        draft.emit(ev.ConvergenceAbandoned(point.id, reason=f"without {without} nothing is left"))
        return
    reason = f"{without} is left out"
    draft.emit(
        ev.ConvergenceStarted(point.id, streams=rest, reason=reason, is_final=point.is_last_merge)
    )


def failure_that_stops(state: State) -> str | None:
    """Return the failed check after which the plan wants the whole run to end, if there was one."""
    for plan in state.plan.points:
        point = state.points[plan.id]
        if plan.on_failure == "stop" and point.phase is PointPhase.ABANDONED and point.guilty:
            return point.reason
    return None
