"""Who is at work: asked several times a tick, and few of a large plan's streams are."""

from __future__ import annotations

from anabranch.core.model.newest_state import once_a_state
from anabranch.core.model.state import State, Stream


@once_a_state
def active_streams(state: State) -> tuple[Stream, ...]:
    """Return the streams that hold a slot."""
    if not state.counts.active:
        return ()
    return tuple(stream for stream in state.streams.values() if stream.is_active)
