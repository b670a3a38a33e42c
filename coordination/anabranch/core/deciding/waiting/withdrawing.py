"""Giving a wait up, whatever it is for: a lock, resources, or the others at a convergence point.

A wait is somebody's as long as a client of theirs comes back for it. What is withdrawn by its
stream is as if it had not been asked for; what is merely abandoned (the client gave up, or died)
leaves its queue too, but a value that was brought to a point stays there: the others still get it,
and the one who brought it waits for nobody.
"""

from __future__ import annotations

from anabranch.core import calls
from anabranch.core import events as ev
from anabranch.core.calls import Answer, Call
from anabranch.core.deciding import questions
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.hearing import Handler
from anabranch.core.deciding.locks import locks
from anabranch.core.deciding.points import arrivals
from anabranch.core.model.answers import refused
from anabranch.core.model.locks import asks_of

GIVEN_UP = "the wait was given up"
ABANDONED = "nobody came back for it"


def withdraw(draft: Draft, call: calls.Withdraw) -> None:
    """End the wait with a ticket, if it is the caller's."""
    if not any(end(draft, call) for end in (_lock, _resources, _arrival, _question)):
        reason = f"nothing of yours waits under ticket {call.ticket}"
        draft.answer = refused(reason, "it may have been granted: unlock or release it then")
        return
    draft.answer = Answer("done")


def _reason(call: calls.Withdraw) -> str:
    return ABANDONED if call.is_abandoned else GIVEN_UP


def _lock(draft: Draft, call: calls.Withdraw) -> bool:
    asks = asks_of(draft.state.locks, call.caller.stream)
    ask = next((a for a in asks if a.ticket == call.number), None)
    if ask is not None:
        locks.withdraw_ask(draft, ask, _reason(call), "ask again when you need it")
        locks.reconsider(draft, [ask.path])
    return ask is not None


def _resources(draft: Draft, call: calls.Withdraw) -> bool:
    stream = call.caller.stream
    queue = draft.state.resources.queue
    waiting = next((w for w in queue if (w.stream, w.ticket) == (stream, call.number)), None)
    if waiting is not None:
        draft.emit(
            ev.ResourcesWithdrawn(
                stream,
                waiting.attempt,
                waiting.request,
                ticket=waiting.ticket,
                reason=_reason(call),
            )
        )
    return waiting is not None


def _arrival(draft: Draft, call: calls.Withdraw) -> bool:
    stream = call.caller.stream
    for point in arrivals.points_with(draft.state, stream):
        arrival = draft.point(point).gathering.arrival_of(stream)
        if arrival is None or arrival.ticket != call.number:
            continue
        if not call.is_abandoned:
            draft.emit(
                ev.ConvergenceWithdrawn(
                    point,
                    stream=stream,
                    reason=GIVEN_UP,
                    attempt=arrival.attempt,
                    request=arrival.request,
                    hint="arrive again",
                )
            )
        elif arrival.waits:
            draft.emit(
                ev.ArrivalWaitEnded(point, stream=stream, attempt=arrival.attempt, reason=ABANDONED)
            )
        return True
    return False


def _question(draft: Draft, call: calls.Withdraw) -> bool:
    stream, ticket = call.caller.stream, call.number
    return questions.withdraw(draft, stream, ticket, GIVEN_UP, call.is_abandoned)


CALLS: dict[type[Call], Handler] = {calls.Withdraw: withdraw}
