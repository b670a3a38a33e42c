"""How the handlers of a stream stand, as ``status --json`` tells it."""

from __future__ import annotations

from anabranch.core.ids import StreamId
from anabranch.core.model.handlers import Handled
from anabranch.core.model.lifecycle import LIVE
from anabranch.core.model.state import State


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
    }
