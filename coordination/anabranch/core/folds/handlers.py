"""What the ends of handlers change: counts, and how far the book of a stream was read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.model.handlers import Handled, Requested
from anabranch.core.model.state import State


def _finished(state: State, record: ev.Recorded, event: ev.HandlerFinished) -> State:
    succeeded = event.outcome == "succeeded"
    failed = (not succeeded) - (event.tries > 1)  # only what has failed is tried again
    return _counted(state, event, succeeded, failed)


def _skipped(state: State, record: ev.Recorded, event: ev.HandlersSkipped) -> State:
    return _counted(state, event, event.count, 0)


def _stopped(state: State, record: ev.Recorded, event: ev.HandlersStopped) -> State:
    state = _counted(state, event, 0, 0)
    known = state.handlers[event.stream]
    if event.attempt < known.attempt:
        return state
    return replace(
        state, handlers=state.handlers.insert(event.stream, replace(known, stopped=event.reason))
    )


def _counted(
    state: State,
    event: ev.HandlerFinished | ev.HandlersSkipped | ev.HandlersStopped,
    succeeded: int,
    failed: int,
) -> State:
    """Count for the newest attempt; what is told late of one before it counts for nothing."""
    known = state.handlers.get(event.stream, Handled()).of_attempt(event.attempt)
    if event.attempt < known.attempt:
        succeeded = failed = 0
    counts = (known.succeeded + succeeded, known.failed + failed)
    after = Handled(known.attempt, *counts, event.book_offset, known.requested, known.stopped)
    return replace(state, handlers=state.handlers.insert(event.stream, after))


def _requested(state: State, record: ev.Recorded, event: ev.HandlerRecoveryRequested) -> State:
    known = state.handlers.get(event.stream, Handled()).of_attempt(event.attempt)
    requested = (*known.requested, Requested(event.handler, record.seq))
    after = replace(known, requested=requested)
    return replace(state, handlers=state.handlers.insert(event.stream, after))


def _passed_on(state: State, record: ev.Recorded, event: ev.HandlerRecoveryPassedOn) -> State:
    known = state.handlers.get(event.stream, Handled())
    left = tuple(one for one in known.requested if one.cause != event.request)
    after = replace(known, requested=left)
    return replace(state, handlers=state.handlers.insert(event.stream, after))


FOLDS: dict[type[ev.Event], Callable[[State, ev.Recorded, Any], State]] = {
    ev.HandlerFinished: _finished,
    ev.HandlersSkipped: _skipped,
    ev.HandlersStopped: _stopped,
}

ALSO: dict[type[ev.StreamEvent], Callable[[State, ev.Recorded, Any], State]] = {
    ev.HandlerRecoveryRequested: _requested,
    ev.HandlerRecoveryPassedOn: _passed_on,
}
