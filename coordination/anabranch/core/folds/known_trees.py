"""What a point knows of its streams' files: what it took from there, and what it put there last.

Successive snapshots of uncommitted work have no history in common, so each is merged against the
tree that the engine knows of its workspace, and a stream never conflicts with its earlier self.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from anabranch.core.events import Contribution
from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State, Stream

_GOOD = frozenset({Phase.RUNNING, Phase.STOPPING, Phase.CAPTURING, Phase.SUCCEEDED})


def known_tree(state: State, point: PointId, stream_id: StreamId) -> str:
    """Return what a point knows of a stream's files: what it took from there or put there last."""
    stream = state.streams[stream_id]
    work = state.points[point].checkpoint.works.get(stream_id)
    if work is None or work.attempt != stream.attempt or not still_stands(state, point):
        return given_tree(stream)
    synced = stream.synced
    is_newer = synced is not None and synced.number == state.points[point].checkpoint.number
    return synced.known_tree if synced is not None and is_newer else work.known_tree


def given_tree(stream: Stream) -> str:
    """Return what the engine has put into a stream's workspace, all in all."""
    if stream.result is not None:
        return stream.result.start_tree
    return stream.workspace.start_tree if stream.workspace else ""


def in_checkpoint(
    state: State, point: PointId, fresh: Iterable[Contribution]
) -> tuple[Contribution, ...]:
    """Return whose work a point's next checkpoint holds: this round's, and what it goes on from.

    A stream that was not captured this time may have been brought files since it last was. They
    would be forgotten with the old checkpoint's number, and count as its own changes.
    """
    works = state.points[point].checkpoint.works if still_stands(state, point) else {}
    carried = {s: replace(w, known_tree=known_tree(state, point, s)) for s, w in works.items()}
    return tuple({**carried, **{work.stream: work for work in fresh}}.values())


def still_stands(state: State, point: PointId) -> bool:
    """Say whether all the work in a point's last checkpoint is of attempts not given up."""
    made = state.points[point].checkpoint
    return bool(made.commit) and all(
        state.streams[s].attempt == work.attempt and state.streams[s].phase in _GOOD
        for s, work in made.works.items()
    )
