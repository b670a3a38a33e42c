"""Who is heard: calls are idempotent and fenced here.

What a caller was answered is remembered by the fold (:mod:`anabranch.core.folds.answers`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from anabranch.core.calls import Answer, Call, Caller
from anabranch.core.deciding.draft import Draft
from anabranch.core.folds.gathering import with_aggregate
from anabranch.core.ids import Attempt, Seq, StreamId
from anabranch.core.model.answers import refused
from anabranch.core.model.lifecycle import LIVE
from anabranch.core.model.state import Copy, State

Handler = Callable[["Draft", Any], None]
"""Deals with one kind of call: emits events, or sets ``draft.answer``, or both."""


def is_live(state: State, stream: StreamId, attempt: Attempt) -> bool:
    """Say whether this attempt is the stream's current one and its process may still be there."""
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
        handlers[type(call)](draft, call)
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


def why_not_heard(state: State, caller: Caller) -> Answer | None:
    """Return the refusal for a caller whose attempt is over, or None for one who is heard."""
    if caller.is_operator or is_live(state, caller.stream, caller.attempt):
        return None
    copy = state.copies.get(caller.stream)
    if copy is not None and copy.run.attempt == caller.attempt:
        return _why_beside(copy)
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


def _why_beside(copy: Copy) -> Answer | None:
    """Return why an attempt beside a stream's own is not heard; one that may still count is."""
    if copy.is_hopeful:
        return None
    name = f"attempt {copy.run.attempt} of {copy.run.id}"
    why = f"fenced: {copy.run.stop.reason}" if copy.run.stop else "over"
    return refused(f"{name} is {why}", "end this process; nothing it asks for has any effect")


def remembered(state: State, caller: Caller, request: str) -> Answer | None:
    """Return what a caller was answered to a request, if that is still remembered."""
    memory = state.answers.get(caller.stream)
    if memory is None or memory.attempt != caller.attempt or request not in memory.requests:
        return None
    return with_aggregate(state, memory.answers[memory.requests.index(request)])
