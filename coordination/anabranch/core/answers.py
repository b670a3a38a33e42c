"""Who is heard, and what each caller was answered: calls are idempotent and fenced here.

Nothing of an answer is stored beside the events: each concern says for its events (``ANSWERS``)
what they answer to the call that led to them, and the fold keeps the last :data:`KEPT` of each
caller. So what a caller hears again after a crash cannot differ from what the journal says has
happened. A later event of the same request replaces its answer: a lock that was ``waiting`` is
``granted``.

A call that changed nothing, a refusal say, is not remembered; asked again it is decided again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec.structs import replace

from anabranch.core.calls import Answer, Call, Caller
from anabranch.core.events import Recorded, Requested
from anabranch.core.gathering import with_aggregate
from anabranch.core.ids import Attempt, Seq, StreamId
from anabranch.core.lifecycle import Phase

if TYPE_CHECKING:
    from anabranch.core.draft import Draft
    from anabranch.core.state import State

T = TypeVar("T")

KEPT = 32
"""How many answers of one caller are remembered."""

LIVE = frozenset({Phase.STARTING, Phase.RUNNING, Phase.STOPPING})
"""Phases in which an attempt's process may be there, so that it can call and hold things."""

Handler = Callable[["Draft", Any], None]
"""Deals with one kind of call: emits events, or sets ``draft.answer``, or both."""

Answering = Callable[["State", Recorded], Answer]
"""Says what an event answers to its request; the state is the one after the event."""


class Remembered(msgspec.Struct, frozen=True):
    """The newest answers of one caller, oldest first, each beside its request."""

    attempt: Attempt
    requests: tuple[str, ...] = ()
    answers: tuple[Answer, ...] = ()


def refused(reason: str, hint: str, **facts: Any) -> Answer:
    """Return a refusal: why, and what to do now, both for people and models to read."""
    return Answer("refused", {"reason": reason, "hint": hint, **facts})


def is_live(state: State, stream: StreamId, attempt: Attempt) -> bool:
    """Whether this attempt is the stream's current one and its process may still be there."""
    joined = state.registry.live(stream)
    if joined is not None:
        return joined.attempt == attempt
    found = state.streams.get(stream)
    return found is not None and found.attempt == attempt and found.phase in LIVE


def answer_call(draft: Draft, call: Call, handlers: Mapping[type[Call], Handler]) -> bool:
    """Let a call have its consequence, unless it had it before or its caller is out of date.

    Returns whether the caller is heard at all.
    """
    unheard = why_not_heard(draft.state, call.caller)
    known = remembered(draft.state, call.caller, call.request)
    if unheard is not None:
        draft.answer = unheard
    elif known is not None:
        draft.answer = known
    else:
        if draft.cause is None and not call.caller.is_operator:
            draft.cause = _cause_of(draft.state, call.caller.stream)
        handlers.get(type(call), _not_served)(draft, call)
    return unheard is None


def complete_answer(draft: Draft, call: Call) -> None:
    """Answer what the events of a call say, once all that follows from them has happened."""
    if draft.answer is None:
        known = remembered(draft.state, call.caller, call.request)
        draft.answer = known or Answer("done")


def _cause_of(state: State, stream: StreamId) -> Seq:
    """Return the event that made a caller what it is: its start, or its joining."""
    joined = state.registry.live(stream)
    return joined.ticket if joined is not None else state.streams[stream].cause


def _not_served(draft: Draft, call: Call) -> None:
    draft.answer = refused("this verb is not served by this version", "go on without it")


def why_not_heard(state: State, caller: Caller) -> Answer | None:
    """Return the refusal for a caller whose attempt is over, or None for one who is heard."""
    if caller.is_operator or is_live(state, caller.stream, caller.attempt):
        return None
    stream = state.streams.get(caller.stream)
    joined = state.registry.joined.get(caller.stream)
    if joined is not None:
        return refused(f"{joined.id} has left the run: {joined.reason}", "register it again")
    if stream is None:
        return refused(f"there is no stream {caller.stream!r}", "register it first")
    if stream.attempt != caller.attempt:
        now = f"attempt {stream.attempt} of {stream.id} is the current one"
    else:
        now = f"{stream.id} is {stream.phase}"
    return refused(
        f"stale attempt: attempt {caller.attempt} of {caller.stream} is over ({now})",
        "end this process; nothing it asks for has any effect",
    )


def remembered(state: State, caller: Caller, request: str) -> Answer | None:
    """Return what a caller was answered to a request, if that is still remembered."""
    memory = state.answers.get(caller.stream)
    if memory is None or memory.attempt != caller.attempt or request not in memory.requests:
        return None
    return with_aggregate(state, memory.answers[memory.requests.index(request)])


def remember(state: State, event: Requested, answer: Answer) -> State:
    """Return the state that knows what the request of an event was answered."""
    stream, attempt = event.caller
    return remember_request(state, stream, attempt, event.request, answer)


def remember_request(
    state: State, stream: StreamId, attempt: Attempt, request: str, answer: Answer
) -> State:
    """Return the state that knows what a caller's request was answered."""
    memory = state.answers.get(stream)
    if memory is None or memory.attempt != attempt:
        memory = Remembered(attempt)
    requests, answers = memory.requests, memory.answers
    if request in requests:
        at = requests.index(request)
        requests, answers = _without(requests, at), _without(answers, at)
    memory = Remembered(
        attempt,
        (*requests[1 - KEPT :], request),
        (*answers[1 - KEPT :], answer),
    )
    return replace(state, answers=state.answers.insert(stream, memory))


def _without(items: tuple[T, ...], at: int) -> tuple[T, ...]:
    return items[:at] + items[at + 1 :]
