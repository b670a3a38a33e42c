"""How long a stream has waited for others while it ran: that time is not work of its own."""

from __future__ import annotations

from msgspec.structs import replace

from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State, Stream

MOST_SPANS = 8
"""So many waits apart from each other are remembered, in case one that has begun before ends."""


def with_wait(state: State, name: StreamId, since: float, until: float) -> State:
    """Return the state with a wait that is over, of a stream of the plan or of anybody else."""
    stream = state.streams.get(name)
    if stream is None:
        return state
    after = kept_waiting(stream, since, until)
    return state if after is stream else replace(state, streams=state.streams.insert(name, after))


def kept_waiting(stream: Stream, since: float, until: float) -> Stream:
    """Return a stream with a wait counted; of two that overlap the time counts once."""
    if stream.phase not in (Phase.RUNNING, Phase.STOPPING) or stream.started_at is None:
        return stream
    begin = max(since, stream.started_at)
    apart = tuple(span for span in stream.waits if span[1] <= begin)
    within = stream.waits[len(apart) :]
    begin = min((begin, *(span[0] for span in within)))
    seconds = until - begin - sum(end - start for start, end in within)
    if seconds <= 0:
        return stream
    worked = replace(stream.worked, waited=stream.worked.waited + seconds)
    return replace(stream, worked=worked, waits=(*apart, (begin, until))[-MOST_SPANS:])
