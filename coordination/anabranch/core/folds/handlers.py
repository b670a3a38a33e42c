"""What the ends of handlers change: counts, and how far the book of a stream was read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.ids import StreamId
from anabranch.core.model.handlers import Handled, Requested
from anabranch.core.model.lifecycle import LIVE, Phase
from anabranch.core.model.state import State

_FromTheBook = (
    ev.HandlerFinished
    | ev.HandlersSkipped
    | ev.HandlersLeft
    | ev.HandlerRequestsHeard
    | ev.HandlersStopped
)


def _finished(state: State, record: ev.Recorded, event: ev.HandlerFinished) -> State:
    succeeded = event.outcome == "succeeded"
    failed = (not succeeded) - (event.tries > 1 or event.was_left)  # what has failed is tried again
    return _counted(state, event, succeeded, failed, -event.was_left)


def _skipped(state: State, record: ev.Recorded, event: ev.HandlersSkipped) -> State:
    return _counted(state, event, succeeded=event.count)


def _left(state: State, record: ev.Recorded, event: ev.HandlersLeft) -> State:
    return _counted(state, event, failed=event.count, left=event.count)


def _stopped(state: State, record: ev.Recorded, event: ev.HandlersStopped) -> State:
    state = _counted(state, event)
    known = state.handlers[event.stream]
    if event.attempt < known.attempt:
        return state
    return _with(state, event.stream, replace(known, stopped=event.reason))


def _counted(
    state: State,
    event: _FromTheBook,
    succeeded: int = 0,
    failed: int = 0,
    left: int = 0,
) -> State:
    """Count for the newest attempt; what is told late of one before it counts for nothing."""
    known = state.handlers.get(event.stream, Handled()).of_attempt(event.attempt)
    after = replace(known, book_offset=max(known.book_offset, event.book_offset))
    if event.attempt == known.attempt:
        after = replace(
            after,
            succeeded=known.succeeded + succeeded,
            failed=known.failed + failed,
            left=known.left + left,
        )
    return _with(state, event.stream, after)


_AT_WORK = LIVE | {Phase.CAPTURING}
"""Phases in which an attempt may have read what it is about: what comes then may be late."""


def _requested(state: State, record: ev.Recorded, event: ev.HandlerRecoveryRequested) -> State:
    known = state.handlers.get(event.stream, Handled())
    one = Requested(event.handler, record.seq)
    if event.is_chosen:
        known = replace(known, chosen=(*known.chosen, one))
    if not event.is_chosen or state.streams[event.stream].phase in _AT_WORK:
        known = known.of_attempt(event.attempt)
        known = replace(known, requested=(*known.requested, one))
    return _with(state, event.stream, known)


def _requeued(state: State, record: ev.Recorded, event: ev.StreamRequeued) -> State:
    """Forget who was chosen: what begins now is about all that are not done, until one is."""
    known = state.handlers.get(event.stream)
    if known is None or not known.chosen or event.goes_on:
        return state
    return _with(state, event.stream, replace(known, chosen=()))


def _with(state: State, stream: StreamId, known: Handled) -> State:
    return replace(state, handlers=state.handlers.insert(stream, known))


def _passed_on(state: State, record: ev.Recorded, event: ev.HandlerRecoveryPassedOn) -> State:
    known = state.handlers.get(event.stream, Handled())
    requested = tuple(
        replace(one, is_passed_on=True) if one.cause == event.request else one
        for one in known.requested
    )
    return _with(state, event.stream, replace(known, requested=requested))


def _heard(state: State, record: ev.Recorded, event: ev.HandlerRequestsHeard) -> State:
    state = _counted(state, event)
    known = state.handlers[event.stream]
    left = tuple(one for one in known.requested if one.cause not in event.requests)
    return _with(state, event.stream, replace(known, requested=left))


def _asked_late(state: State, record: ev.Recorded, event: ev.HandlersAskedLate) -> State:
    known = state.handlers.get(event.stream, Handled())
    late = tuple(
        Requested(one.handler, one.cause) for one in known.requested if one.cause in event.requests
    )
    return _with(state, event.stream, replace(known, chosen=late, requested=()))


FOLDS: dict[type[ev.Event], Callable[[State, ev.Recorded, Any], State]] = {
    ev.HandlerFinished: _finished,
    ev.HandlersSkipped: _skipped,
    ev.HandlersLeft: _left,
    ev.HandlerRequestsHeard: _heard,
    ev.HandlersStopped: _stopped,
}

ALSO: dict[type[ev.StreamEvent], Callable[[State, ev.Recorded, Any], State]] = {
    ev.HandlerRecoveryRequested: _requested,
    ev.HandlerRecoveryPassedOn: _passed_on,
    ev.HandlersAskedLate: _asked_late,
    ev.StreamRequeued: _requeued,
}
