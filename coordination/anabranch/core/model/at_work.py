"""Who is at work: asked several times a tick, and few of a large plan's streams are."""

from __future__ import annotations

from anabranch.core.model.newest_state import once_a_state
from anabranch.core.model.state import State, Stream


@once_a_state
def active_streams(state: State) -> tuple[Stream, ...]:
    """Return the streams that are at work: in a slot, or as a service beside them."""
    if not state.counts.at_work:
        return ()
    return tuple(stream for stream in state.streams.values() if stream.is_active)


@once_a_state
def active_attempts(state: State) -> tuple[Stream, ...]:
    """Return the streams that hold a slot, and copies that do so beside them."""
    beside = (copy.run for copy in state.copies.values())
    return (*active_streams(state), *(run for run in beside if run.is_active))


def elapsed_of(stream: Stream, now: float) -> float:
    """Return for how many seconds a stream has worked, without what it has waited for others."""
    if stream.started_at is None:
        return 0.0
    return max(0.0, now - stream.started_at - stream.worked.waited)
