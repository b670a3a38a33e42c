"""Decisions about how a running stream gets on: the journal gets the turns only.

What a stream's silence means is judged outside (:mod:`anabranch.engine.liveness`), from figures
that change every second; in here come the verdicts when they change. Heartbeats are answered and
forgotten, but for a new status, and of those at most one in :data:`STATUS_SECONDS`.
"""

from __future__ import annotations

from anabranch.core import calls, convergence, inputs
from anabranch.core import events as ev
from anabranch.core.answers import Handler, refused
from anabranch.core.calls import Answer, Call, Json
from anabranch.core.draft import Draft
from anabranch.core.ids import StreamId
from anabranch.core.json_values import NotJson, checked_text
from anabranch.core.lifecycle import Phase
from anabranch.core.state import State

STATUS_SECONDS = 10.0
LONGEST_STATUS = 500
LONGEST_INFO = 4_000

_BAD = ("never_heard", "stalled")


def seen(draft: Draft, fact: inputs.LivenessSeen) -> None:
    """Record that a stream has stalled, or that it gets on again, if the plan cares."""
    stream = draft.stream(fact.stream)
    if stream.phase is not Phase.RUNNING or "heartbeat" not in draft.state.plan.protocols:
        return
    was = stream.liveness.verdict
    if fact.verdict in _BAD and fact.verdict != was:
        draft.emit(ev.StreamStalled(stream.id, stream.attempt, fact.verdict, fact.evidence))
    elif fact.verdict not in _BAD and was:
        draft.emit(ev.StreamProgressed(stream.id, stream.attempt, fact.evidence))


def heartbeat(draft: Draft, call: calls.Heartbeat) -> None:
    """Answer a heartbeat; record what it says if that is new."""
    if call.caller.is_operator:
        draft.answer = refused("only streams have a heartbeat", "send it from inside a stream")
        return
    problem = _bad_info(call.info)
    if problem is not None:
        draft.answer = problem
        return
    caller = call.caller
    known = draft.state.registry.live(caller.stream) or draft.stream(caller.stream).liveness
    status = known.status if call.status is None else call.status[:LONGEST_STATUS]
    info = known.info if call.info is None else call.info
    is_due = known.status_at is None or draft.now - known.status_at >= STATUS_SECONDS
    if not is_due or (status, info) == (known.status, known.info):
        draft.answer = Answer("done")
        return
    draft.emit(
        ev.StreamHeartbeat(caller.stream, caller.attempt, call.request, status, call.progress, info)
    )


def _bad_info(info: dict[str, Json] | None) -> Answer | None:
    """Return a refusal of what else a heartbeat says, if it cannot be kept."""
    checked = "" if info is None else checked_text(info)
    if isinstance(checked, NotJson):
        return refused(
            f"what else the heartbeat says cannot be kept: {checked.reason}", checked.hint
        )
    if len(checked) > LONGEST_INFO:
        told = f"a heartbeat holds at most {LONGEST_INFO} characters besides status and progress"
        return refused(told, "keep more than that in the shared state")
    return None


def waiting_for(state: State, stream: StreamId) -> str:
    """Return what a stream waits for from others; empty if nothing here keeps it waiting."""
    holder = state.locks.holders.get(stream)
    if holder is not None and len(holder.asked):
        return f"the lock of {min(holder.asked.values())}"
    for waiting in state.resources.queue:
        if waiting.stream == stream:
            return f"resources ({', '.join(waiting.amounts)})"
    if stream not in state.streams:
        return ""
    for point in convergence.points_of(state, stream):
        arrival = state.points[point].gathering.arrival_of(stream)
        if arrival is not None and arrival.waits:
            return f"the others at {point}"
    return ""


CALLS: dict[type[Call], Handler] = {calls.Heartbeat: heartbeat}
