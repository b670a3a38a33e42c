"""What a new attempt goes on from: the last checkpoint of the attempt before it, or its result.

A checkpoint is trusted once. If the attempt that went on from it failed before it took another one,
the next starts from the beginning again: the checkpoint itself may be what is wrong. Work that was
handed back after a review is gone on from as often as that takes.
"""

from __future__ import annotations

from anabranch.core.ids import StreamId
from anabranch.core.model.checkpoints import NONE, Taken
from anabranch.core.model.state import Result, State, Stream


def to_restore(state: State, stream_id: StreamId) -> Taken | None:
    """Return the checkpoint that a stream's present attempt goes on from, or None.

    Only a retry goes on from one, also one that a person's remedy brought on. A stream that was
    over and that a person runs again starts afresh.
    """
    stream = state.streams[stream_id]
    taken = state.checkpoints.get(stream_id, NONE).taken
    if not (stream.is_retry or stream.retries) or stream.handed_back is not None or not taken:
        return None
    last = taken[-1]
    before = state.speculation.before(stream_id, stream.attempt)
    return last if last.attempt == before and last.start_tree else None


def to_go_on_from(state: State, stream_id: StreamId) -> Result | None:
    """Return the result that a person has handed back, and that the next attempt goes on from."""
    given = state.streams[stream_id].handed_back
    if given is None or not given.goes_on:
        return None
    return Result(given.commit, given.tree, given.start_commit, given.start_tree)


def last_good(state: State, stream: Stream) -> Taken | None:
    """Return the checkpoint that the attempt after the present one would go on from, or None."""
    taken = state.checkpoints.get(stream.id, NONE).taken
    if stream.handed_back is not None or not taken:
        return None
    last = taken[-1]
    return last if last.attempt == stream.attempt and last.start_tree else None
