"""Remembering what each caller was answered: calls are idempotent by it.

Nothing of an answer is stored beside the events: each concern says for its events (``ANSWERS``)
what they answer to the call that led to them, and the fold keeps the last :data:`KEPT` of each
caller. So what a caller hears again after a crash cannot differ from what the journal says has
happened. A later event of the same request replaces its answer: a lock that was ``waiting`` is
``granted``.

A call that changed nothing, a refusal say, is not remembered; asked again it is decided again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.calls import Answer
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.answers import Remembered, refused
from anabranch.core.model.state import State

T = TypeVar("T")
KEPT = 32
"""How many answers of one caller are remembered."""

Answering = Callable[[State, ev.Recorded, Any], Answer]
"""Says what an event answers to its request; the state is the one after the event."""


def remember(state: State, event: ev.Requested, answer: Answer) -> State:
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


def refused_wait(
    event: ev.LockWithdrawn | ev.ResourcesWithdrawn | ev.ConvergenceWithdrawn,
) -> Answer:
    """Return what a stream is told whose wait was ended for it."""
    if not event.cycle:
        return refused(event.reason, event.hint)
    return refused(event.reason, event.hint, cycle=edges_as_data(event.cycle))


def edges_as_data(cycle: tuple[ev.Edge, ...]) -> list[dict[str, Any]]:
    """Return a cycle as it is told in JSON."""
    return [
        {"stream": e.waiter, "waits_for": e.holder, "what": e.what, "kind": e.kind} for e in cycle
    ]


def _without(items: tuple[T, ...], at: int) -> tuple[T, ...]:
    return items[:at] + items[at + 1 :]
