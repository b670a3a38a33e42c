"""Decisions about what a person adds to a run, and about the end of one that is open."""

from __future__ import annotations

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding import runs
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.points import convergence
from anabranch.core.ids import FINAL_POINT
from anabranch.core.model.outcome import NotYet, Refusal
from anabranch.core.model.state import RunPhase, State
from anabranch.core.plans.extending import why_not_extended, why_not_reworded
from anabranch.core.plans.plan import StreamPlan


def add(draft: Draft, command: inputs.AddStream) -> Refusal | None:
    """Take one more stream into the run; a run that is over goes on with it."""
    state, plan = draft.state, command.stream
    fault = why_not_extended(state.plan, plan)
    if fault is None and state.registry.live(plan.id):
        fault = (f"a stream {plan.id!r} has joined this run already", "choose another name")
    if fault is not None:
        return Refusal(*fault)
    refusal = _why_not_now(state)
    if refusal is not None:
        return refusal
    reason = f"{plan.id} was added"
    if state.has_ended:
        draft.cause = draft.emit(ev.RunReopened(reason=reason))
    draft.cause = draft.emit(ev.StreamAdded(stream=plan.id, plan=plan))
    draft.emit(ev.StreamRegistered(plan.id, capabilities=plan.capabilities))
    for point_id in convergence.points_of(draft.state, plan.id):
        if draft.point(point_id).is_settled:  # what it has merged is not all any more
            convergence.reopen(draft, point_id, reason)
    return None


def reword(draft: Draft, command: inputs.RewordStream) -> Refusal | None:
    """Change what the plan says about a stream that has ended, and try it again."""
    state, plan = draft.state, command.stream
    refusal = runs.why_not_retried(state, plan.id) or _why_not_moved(state, plan)
    if refusal is not None:
        return refusal
    fault = why_not_reworded(state.plan, plan)
    if fault is not None:
        return Refusal(*fault)
    draft.cause = draft.emit(ev.StreamReworded(stream=plan.id, plan=plan))
    runs.run_again(draft, plan.id, command.reason)
    return None


def close(draft: Draft, command: inputs.CloseRun) -> Refusal | None:
    """Let an open run end once its streams are over."""
    state = draft.state
    if not state.plan.is_open:
        return Refusal("the run is not open", "it ends by itself when its streams are over")
    if state.has_ended or state.stop_reason:
        standing = state.phase.value if state.has_ended else "stopping"
        return Refusal(f"the run is {standing}", "nothing is left to close")
    draft.cause = draft.emit(ev.RunClosed(reason=command.reason))
    convergence.consult(draft, FINAL_POINT)
    return None


def _why_not_now(state: State) -> Refusal | None:
    """Return why nothing can be added at this moment."""
    if state.phase is RunPhase.STOPPING:
        return Refusal("the run is stopping", "begin another one, or add it when this has stopped")
    settling = (p for p in state.points.values() if p.is_last_merge and (p.is_busy or p.resolving))
    if any(settling):
        return NotYet("results are being merged", "try again in a moment")
    if runs.is_being_approved(state):
        return NotYet("the result is on its way to your branch", "try again in a moment")
    return None


def _why_not_moved(state: State, plan: StreamPlan) -> Refusal | None:
    """Return why a stream cannot meet others at other points than before."""
    if plan.points == state.stream_plan(plan.id).points:
        return None
    return Refusal(f"{plan.id} cannot move to another point", "add it anew under another name")
