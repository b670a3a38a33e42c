"""Decisions about the run as a whole: its start, its stop, its end, and going on after one."""

from __future__ import annotations

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding import joined
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.locks.violations import why_not_merged
from anabranch.core.deciding.points import adopting, convergence, verifying
from anabranch.core.deciding.points.endings import (
    proof_in_words,
    speaks_against,
    standing_in_words,
    why_not_converged,
)
from anabranch.core.deciding.streams import streams
from anabranch.core.deciding.streams.scheduling import comes_back_with
from anabranch.core.deciding.streams.windows import is_awaited
from anabranch.core.deciding.waiting.sources import stuck_streams
from anabranch.core.folds.resolutions import open_conflicts
from anabranch.core.folds.reviews import waiting_for_review
from anabranch.core.ids import FINAL_POINT, StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.outcome import NotYet, Refusal
from anabranch.core.model.state import PointPhase, RunPhase, State
from anabranch.core.strategies.failures import NOT_CAPTURED
from anabranch.core.wording import counted, listing

HELD_UP = frozenset({Phase.SKIPPED, Phase.BLOCKED, Phase.QUARANTINED})
"""Streams that something else kept from going on; a resumed run tries them again."""

UNFINISHED = frozenset({Phase.FAILED, Phase.STOPPED})
"""Streams that ended badly by themselves; only a run that ended for that tries them again."""


def start(draft: Draft, command: inputs.StartRun) -> None:
    """Begin a run: every stream of the plan is registered."""
    draft.cause = draft.emit(
        ev.RunStarted(
            run=command.run,
            project=command.project,
            plan_path=command.plan_path,
            plan=command.plan,
            approve=command.approve,
            wall=command.wall,
            allow_sensitive=command.allow_sensitive,
            warnings=command.warnings,
        )
    )
    for plan in command.plan.streams:
        draft.emit(ev.StreamRegistered(plan.id, capabilities=plan.capabilities))


def base_found(draft: Draft, fact: inputs.BaseFound) -> None:
    """Record what the run's streams start from."""
    if draft.state.base is None:
        draft.emit(
            ev.BaseCaptured(
                commit=fact.commit,
                tree=fact.tree,
                branch=fact.branch,
                head=fact.head,
                left_out=fact.left_out,
                warnings=fact.warnings,
                included=fact.included,
            )
        )


def base_not_found(draft: Draft, fact: inputs.BaseNotFound) -> None:
    """Fail a run without a base: nothing can start."""
    if draft.state.base is not None or draft.state.has_ended:
        return
    for plan in draft.state.plan.streams:
        if draft.stream(plan.id).phase in (Phase.WAITING, Phase.QUEUED):
            draft.emit(ev.StreamSkipped(plan.id, reason=fact.reason))
    draft.emit(ev.RunFailed(reason=fact.reason, proof="nothing has started"))


def stop(draft: Draft, command: inputs.StopRun) -> Refusal | None:
    """End every stream gracefully, and a run that waits for a person; what was done is kept."""
    state = draft.state
    if state.phase is RunPhase.NEEDS_OPERATOR:
        draft.cause = draft.emit(ev.RunReopened(reason=command.reason))
    elif state.has_ended:
        return Refusal(f"the run has already ended ({state.phase})", "nothing is left to stop")
    if state.stop_reason:
        return Refusal("the run is already stopping", "streams get their grace time first")
    draft.cause = draft.emit(ev.RunStopRequested(reason=command.reason))
    return None


def stop_everyone(draft: Draft, reason: str) -> None:
    """Stop every stream of a run that is to stop."""
    for plan in draft.state.plan.streams:
        streams.request_stop(draft, draft.stream(plan.id), reason, Phase.STOPPED)
    if draft.state.plan.is_open or not draft.state.counts.active:
        convergence.consult(draft, FINAL_POINT)  # nobody's end may be to come, after which it is


def resume(draft: Draft, command: inputs.ResumeRun) -> Refusal | None:
    """Go on with a run that another engine hosted, or that waits for a person.

    Whoever only looks at a run that is over changes nothing of it.
    """
    state = draft.state
    if state.has_ended and not command.retry_failed:
        return None
    draft.cause = draft.emit(ev.RunResumed(reason=command.reason, adopted=command.adopted))
    if not state.has_ended or not command.retry_failed or state.phase is RunPhase.CONVERGED:
        return None
    draft.cause = draft.emit(ev.RunReopened(reason=command.reason))
    if state.phase is RunPhase.NEEDS_OPERATOR or convergence.conflict_that_stops(state):
        convergence.recapture_conflicting(draft, "resumed: captured again after the conflict")
        _requeue(draft, HELD_UP, command.reason)
        _requeue_given_up(draft, command.reason)
    else:
        _requeue(draft, HELD_UP | UNFINISHED, command.reason)
    for point_id in state.topology.points:
        if not state.points[point_id].is_busy:  # what it does now is not done twice
            convergence.reopen(draft, point_id, command.reason)
    return None


def _requeue(draft: Draft, phases: frozenset[Phase], reason: str) -> None:
    for plan in draft.state.plan.streams:
        stream = draft.stream(plan.id)
        if stream.phase not in phases:
            continue
        if stream.failure_class == NOT_CAPTURED.name and stream.workspace is not None:
            draft.emit(
                ev.RecaptureRequested(plan.id, reason=f"{reason}: its work is captured again")
            )
        else:
            goes_on = stream.phase is Phase.BLOCKED
            draft.emit(ev.StreamRequeued(plan.id, reason=reason, goes_on=goes_on))


def _requeue_given_up(draft: Draft, reason: str) -> None:
    """Requeue whom the guardian gave up and a person has decided to go on with."""
    for stream in draft.state.streams.values():
        if stream.phase is Phase.FAILED and stream.care.has_given_up:
            draft.emit(ev.StreamRequeued(stream.id, reason=reason))


def retry_stream(draft: Draft, command: inputs.RetryStream) -> Refusal | None:
    """Run an ended stream once more, and with it those that were skipped or left out behind it."""
    refusal = why_not_retried(draft.state, command.stream)
    if refusal is None:
        run_again(draft, command.stream, command.reason)
    return refusal


def why_not_retried(state: State, name: StreamId) -> Refusal | None:
    """Return why a stream cannot be run once more now, or None."""
    stream = state.streams.get(name)
    if stream is None:
        return unknown_stream(state, name)
    if stream.phase in (Phase.SUCCEEDED, Phase.PASSED_OVER):
        return Refusal(f"{stream.id} has succeeded", "only a stream that did not can be retried")
    if not stream.has_ended and stream.phase is not Phase.BLOCKED:
        return Refusal(f"{stream.id} is {stream.phase.words}", "stop it first, then retry it")
    if state.phase is RunPhase.STOPPING:
        return Refusal("the run is stopping", "retry it when the run has stopped")
    if any(p.is_busy or p.resolving for p in state.points.values()):
        return NotYet("results are being merged", "try again in a moment")
    if is_being_approved(state):
        return NotYet("the result is on its way to your branch", "try again in a moment")
    return None


def run_again(draft: Draft, name: StreamId, reason: str) -> None:
    """Queue a stream that has ended, and those behind it, and open their points again."""
    state = draft.state
    if state.has_ended:
        draft.cause = draft.emit(ev.RunReopened(reason=reason))
    again = [name, *comes_back_with(state, name)]
    for stream_id in again:
        at_once = stream_id == name
        draft.cause = draft.emit(ev.StreamRequeued(stream_id, reason=reason, at_once=at_once))
    points = {p: None for s in again for p in convergence.points_of(state, s)}
    for point_id in points:
        convergence.reopen(draft, point_id, reason)


def stop_stream(draft: Draft, command: inputs.StopStream) -> Refusal | None:
    """End one stream; what a person stopped is not started again by itself."""
    stream = draft.state.streams.get(command.stream)
    if stream is None:
        return unknown_stream(draft.state, command.stream)
    if stream.has_ended:
        return Refusal(f"{stream.id} has already ended ({stream.phase})", "nothing to stop")
    if stream.stop and stream.stop.then == Phase.STOPPED:
        return Refusal(f"{stream.id} is already being stopped", stream.stop.reason)
    if stream.phase is Phase.CAPTURING:
        return Refusal(f"{stream.id} has ended; its work is being kept", "wait a moment")
    if draft.state.has_ended:
        draft.cause = draft.emit(ev.RunReopened(reason=command.reason))
    if stream.stop:  # its time was up, and it would be tried again
        stopped = Phase.STOPPED.value
        draft.emit(
            ev.StreamStopRequested(
                stream.id, attempt=stream.attempt, reason=command.reason, then=stopped
            )
        )
    else:
        streams.request_stop(draft, stream, command.reason, Phase.STOPPED)
    return None


def unknown_stream(state: State, name: StreamId) -> Refusal:
    known = listing((s.id for s in state.plan.streams), 8)
    return Refusal(f"there is no stream {name!r} in this run", f"its streams: {known}")


def approve(draft: Draft, command: inputs.ApproveRun) -> Refusal | None:
    """Ask for the result to be brought to the user's branch."""
    state = draft.state
    if state.phase is not RunPhase.CONVERGED:
        first = "only a converged run can be approved"
        return Refusal(f"the run is {state.phase}", f"{first}: {_way_to_converge(state)}")
    if state.approval.is_done:
        return Refusal("the result was brought to your branch before", _way_back(state))
    if not state.approval.is_requested:
        draft.emit(ev.ApprovalRequested(allow_sensitive=command.allow_sensitive, onto=command.onto))
    return None


def _way_to_converge(state: State) -> str:
    """Return what a run that has not converged waits for, or takes to go on."""
    if state.phase is RunPhase.NEEDS_OPERATOR:
        return f"anabranch attention {state.run} says what it waits for"
    if state.has_ended:
        return f"anabranch resume {state.run} tries again what did not succeed"
    if state.plan.is_open:
        return f"anabranch close {state.run} has it converge once its streams are over"
    return "it converges once its streams are over"


def _way_back(state: State) -> str:
    """Return how the result comes back to the branch, which may have been set back since."""
    message, base = state.approval.message, state.base
    is_on_branch = base is not None and base.branch is not None
    again = f"; to have it there again: git merge anabranch/{state.run}"
    return message + again if is_on_branch else message


def approval_done(draft: Draft, fact: inputs.ApprovalDone) -> None:
    if not draft.state.approval.is_done:
        draft.emit(ev.RunApproved(branch=fact.branch, commit=fact.commit, message=fact.message))


def approval_not_done(draft: Draft, fact: inputs.ApprovalNotDone) -> None:
    if draft.state.approval.is_requested:
        draft.emit(ev.ApprovalRefused(reason=fact.reason, hint=fact.hint, kind=fact.kind))


def strategy_faulted(draft: Draft, fact: inputs.StrategyFault) -> None:
    """Keep what a plugin did wrong, for everybody to see."""
    draft.emit(
        ev.StrategyFaulted(
            plugin=fact.plugin,
            strategy=fact.strategy,
            fault=fact.fault,
            count=fact.count,
            is_set_aside=fact.is_set_aside,
            is_heeded=fact.is_heeded,
        )
    )


def is_being_approved(state: State) -> bool:
    """Return whether the result is being brought to the user's branch right now."""
    wanted = state.approval.is_requested and not state.approval.is_done
    return wanted and state.phase is RunPhase.CONVERGED


def is_at_rest(state: State) -> bool:
    """Return whether nothing runs, is queued, torn down or due at a time, and nothing is merged."""
    counts = state.counts
    return (
        not counts.active
        and not counts.services
        and not counts.retrying
        and not state.ready
        and not state.teardowns.owed
        and not any(is_awaited(state.streams[s]) for s in state.topology.timed)
        and not any(p.is_busy or p.resolving for p in state.points.values())
    )


def end_if_over(draft: Draft) -> None:
    """Close the run once it is at rest, with the reason for how it ended."""
    state = draft.state
    if state.has_ended or state.base is None:
        return
    if not is_at_rest(state):
        _skip_whom_all_wait_for_in_vain(draft)
        return
    if state.stop_reason:
        if not joined.dismiss_all(draft):
            draft.emit(ev.RunStopped(reason=state.stop_reason, proof=standing_in_words(state)))
        return
    blocked = [p for p in state.points.values() if p.phase is PointPhase.BLOCKED]
    if blocked or state.counts.blocked:
        _needs_operator(draft)
        return
    if state.plan.is_open or _waits_for_reviews(draft):
        return
    if state.counts.ended < len(state.plan.streams):
        if _somebody_may_join(draft):
            _skip_whom_all_wait_for_in_vain(draft)
        else:
            _skip_what_can_never_start(draft)
        return
    if joined.dismiss_all(draft):
        return
    trouble = _trouble(state) or why_not_converged(state)
    final = state.points[FINAL_POINT]
    given_up = _given_up(state)
    if trouble and given_up:
        hint = f"anabranch recover {given_up} hard tries it again; or anabranch resume {state.run}"
        draft.emit(ev.RunNeedsOperator(reason=trouble, hint=hint, proof=standing_in_words(state)))
    elif trouble:
        draft.emit(ev.RunFailed(reason=trouble, proof=standing_in_words(state)))
    else:
        branch = f"anabranch/{state.run}" if final.commit and _has_results(state) else None
        draft.emit(
            ev.RunConverged(commit=final.commit, branch=branch, reason=proof_in_words(state))
        )


def _given_up(state: State) -> StreamId | None:
    """Return a stream that counts and that the guardian could not help."""
    for plan in state.plan.streams:
        care = state.streams[plan.id].care
        has_failed = state.streams[plan.id].phase is Phase.FAILED
        if has_failed and care.has_given_up and not plan.optional and not care.is_dropped:
            return plan.id
    return None


def _somebody_may_join(draft: Draft) -> bool:
    """Return whether a waiting stream may hope for an outside stream with a capability."""
    state = draft.state
    return any(
        joined.somebody_may_join_for(state, stream, draft.now)
        for stream in state.streams.values()
        if stream.phase is Phase.WAITING
    )


def _skip_what_can_never_start(draft: Draft) -> None:
    """Skip streams that wait for each other by way of a point while the run is at rest."""
    for plan in draft.state.plan.streams:
        if draft.stream(plan.id).phase is Phase.WAITING:
            needs = ", ".join(d.words for d in plan.depends_on)
            draft.emit(
                ev.StreamSkipped(plan.id, reason=f"needs {needs}, and nothing left can bring that")
            )


def _skip_whom_all_wait_for_in_vain(draft: Draft) -> None:
    """Skip who waits for somebody to join, if whatever runs waits for the same: it never ends."""
    if not draft.state.topology.hopeful:
        return
    state = replace(draft.state, at=draft.now)
    in_vain = [
        stream
        for stream in (state.streams[name] for name in state.topology.hopeful)
        if stream.phase is Phase.WAITING and joined.hopes_in_vain(state, stream, state.at)
    ]
    if not in_vain or any(p.is_busy or p.resolving for p in state.points.values()):
        return
    stuck = stuck_streams(state)
    rest = (s for s in state.streams.values() if s.id not in stuck)
    if all(s.has_ended or s.phase is Phase.BLOCKED for s in rest):
        for stream in in_vain:
            needs = ", ".join(d.words for d in state.stream_plan(stream.id).depends_on)
            reason = f"needs {needs}; nobody has joined for it, and all that runs waits for it"
            draft.emit(ev.StreamSkipped(stream.id, reason=reason))


def _has_results(state: State) -> bool:
    return any(s.result is not None for s in state.streams.values())


def _needs_operator(draft: Draft) -> None:
    state = draft.state
    points = [state.points[p.id] for p in state.plan.points]
    streams = [state.streams[s.id] for s in state.plan.streams]
    reasons = [p.reason for p in points if p.phase is PointPhase.BLOCKED]
    reasons += [f"{s.id}: {s.reason}" for s in streams if s.phase is Phase.BLOCKED]
    hint = f"{_how_to_mend(state)}; then: anabranch resume {state.run}"
    if way := adopting.way_to_adopt(state):
        hint = way
    if open_conflicts(state):
        hint = f"anabranch conflicts shows both sides, anabranch resolve decides; or {hint}"
    if why_not_merged(state, state.streams):
        hint = f"anabranch allow STREAM, or change its files; then: anabranch resume {state.run}"
    draft.emit(ev.RunNeedsOperator(reason=reasons[0], hint=hint, proof=standing_in_words(state)))


def _waits_for_reviews(draft: Draft) -> bool:
    """Close the run until somebody has looked at what waits for that, if anything does."""
    state = draft.state
    waiting = waiting_for_review(state)
    if not waiting or convergence.conflict_that_stops(state):
        return False
    first, rest = waiting[0], len(waiting) - 1
    hint = f"anabranch review {first} shows it; --take lets it merge, --hand-back -m TEXT does not"
    more = f"; {counted(rest, 'more waits', 'more wait')}: anabranch review" if rest else ""
    draft.emit(
        ev.RunNeedsOperator(
            reason=f"waits for review of {listing(waiting)}",
            hint=hint + more,
            proof=standing_in_words(state),
        )
    )
    return True


def _how_to_mend(state: State) -> str:
    """Return how a person can settle a conflict, where the late side's workspace still stands."""
    for point in (state.points[p.id] for p in state.plan.points):
        for conflict in point.conflicts:
            late = state.streams[conflict.streams[-1]]
            others = [state.streams[s].result for s in conflict.streams[:-1]]
            if late.workspace is not None and others and others[-1] is not None:
                merge = f"git add -A, git commit, git merge {others[-1].commit[:12]}"
                return f"in {late.workspace.path}: {merge}, settle it, commit"
        if point.phase is PointPhase.BLOCKED and point.probe_cause and not point.conflicts:
            log = f"verify.{point.id}.log in the run's logs says what was seen"
            return f"mend the check of {point.id}, or what it needs ({log})"
    return "make both sides agree in their workspaces"


def _trouble(state: State) -> str | None:
    """Return what keeps the run from having converged, the first causes first."""
    called_off = convergence.conflict_that_stops(state) or verifying.failure_that_stops(state)
    if called_off:
        return called_off
    bad = [
        state.streams[p.id]
        for p in state.plan.streams
        if not p.optional and speaks_against(state, p)
    ]
    roots = [s for s in bad if s.phase is not Phase.SKIPPED] or bad
    bad_races = list(adopting.unadopted(state))
    if bad_races:
        return "; ".join(bad_races)
    if roots:
        causes = "; ".join(f"{s.id}: {s.reason}" for s in roots[:3])
        return causes + (f"; {len(bad) - len(roots[:3])} more" if len(bad) > len(roots[:3]) else "")
    return None
