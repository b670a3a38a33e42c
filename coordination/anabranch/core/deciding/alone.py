"""Who runs alone: a stream that ran out of memory would do so again in the same crowd.

It begins when nobody else is active, and nobody is admitted beside it. Others go on being admitted
meanwhile, so nothing waits for it in vain; and as whoever is active may wait for it in turn, it
waits for calm no longer than :data:`PATIENCE_SECONDS`. Then it is admitted like others, if there is
as much memory free as it had.
"""

from __future__ import annotations

from anabranch.core.model.state import State, Stream

PATIENCE_SECONDS = 300.0


def calm_until(stream: Stream) -> float:
    """Return until when a queued stream waits for everybody else to end."""
    return max(stream.since, stream.not_before) + PATIENCE_SECONDS


def waits_for_calm(state: State, stream: Stream, now: float) -> bool:
    """Return whether a queued stream begins only once nobody is active."""
    return stream.memory.is_alone and state.counts.active > 0 and now < calm_until(stream)


def why_not_beside(state: State, stream: Stream, now: float) -> str | None:
    """Return who has to end before a queued stream begins, as one of both runs alone."""
    alone = state.runs_alone
    if alone is not None:
        return f"{alone} runs alone, as it ran out of memory before"
    if waits_for_calm(state, stream, now):
        return "it ran out of memory before, and runs once nothing else does"
    return None


def slots_lacking(state: State, stream: Stream, now: float) -> int:
    """Return how many of those that are active have to end before a queued stream has a slot."""
    most = 1 if waits_for_calm(state, stream, now) else state.max_parallel
    return state.counts.active + 1 - most
