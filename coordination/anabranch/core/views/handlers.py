"""How the handlers of a stream stand, as ``status --json`` tells it, and what can be done."""

from __future__ import annotations

from anabranch.core.deciding.guardian.handlers import why_not
from anabranch.core.ids import StreamId
from anabranch.core.model.handlers import Handled
from anabranch.core.model.lifecycle import LIVE
from anabranch.core.model.state import State

__all__ = ["handler_counts", "known_to_have_handlers", "why_not"]


def known_to_have_handlers(state: State) -> frozenset[StreamId]:
    """Return the streams that fan out, and those of whose program a handler has ended."""
    fanned = (plan.id for plan in state.plan.streams if plan.fan is not None)
    ended = (stream for stream in state.handlers if stream in state.streams)
    return frozenset(fanned).union(ended)


def handler_counts(
    state: State, stream: StreamId, total: int = 0, running: int = 0
) -> dict[str, int]:
    """Return how many handlers of a stream have come how far.

    Args:
        state: the run.
        stream: one that fans out.
        total: how many there are, as the program that runs them said last; only it knows.
        running: how many run, as it said then.
    """
    known = state.handlers.get(stream, Handled())
    running = running if state.streams[stream].phase in LIVE else 0
    return {
        "total": max(total, known.succeeded + known.failed + running),
        "succeeded": known.succeeded,
        "failed": known.failed,
        "running": running,
        "not_tried_again": known.left,
    }
