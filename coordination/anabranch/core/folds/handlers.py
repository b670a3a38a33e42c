"""What the ends of handlers change: counts, and how far the book of a stream was read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.model.handlers import Handled
from anabranch.core.model.state import State


def _finished(state: State, record: ev.Recorded, event: ev.HandlerFinished) -> State:
    succeeded = event.outcome == "succeeded"
    failed = (not succeeded) - (event.tries > 1)  # only what has failed is tried again
    return _counted(state, event, succeeded, failed)


def _skipped(state: State, record: ev.Recorded, event: ev.HandlersSkipped) -> State:
    return _counted(state, event, event.count, 0)


def _counted(
    state: State, event: ev.HandlerFinished | ev.HandlersSkipped, succeeded: int, failed: int
) -> State:
    """Count for the newest attempt; what is told late of one before it counts for nothing."""
    known = state.handlers.get(event.stream, Handled())
    if event.attempt > known.attempt:
        known = Handled(event.attempt)
    if event.attempt < known.attempt:
        succeeded = failed = 0
    after = Handled(
        known.attempt, known.succeeded + succeeded, known.failed + failed, event.book_offset
    )
    return replace(state, handlers=state.handlers.insert(event.stream, after))


FOLDS: dict[type[ev.Event], Callable[[State, ev.Recorded, Any], State]] = {
    ev.HandlerFinished: _finished,
    ev.HandlersSkipped: _skipped,
}
