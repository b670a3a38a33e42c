"""What the state keeps of a point's checkpoints and of what streams were brought from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.ids import PointId, Seq, StreamId

if TYPE_CHECKING:
    from anabranch.core.state import Point, Stream


class PointCheckpoints(msgspec.Struct, frozen=True):
    """The newest checkpoint of a point, and the one that is being made.

    ``takes`` are the numbers of the snapshots that the one in the making asked for; it has none
    else. ``works`` is everything that stands in ``commit``, or would if it had merged.
    """

    last: int = 0
    takes: dict[StreamId, int] = {}
    is_merging: bool = False
    cause: Seq = 0
    finished_at: float | None = None
    number: int = 0
    commit: str = ""
    tree: str = ""
    ref: str = ""
    at: float = 0.0
    works: dict[StreamId, ev.Contribution] = {}
    conflicts: tuple[ev.Conflict, ...] = ()
    failure: str = ""


class Offer(msgspec.Struct, frozen=True):
    """A point's checkpoint that a stream has not been brought yet, and what that waits for."""

    point: PointId
    number: int
    cause: Seq
    since: float = 0.0
    waits_for: str = ""


class Synced(msgspec.Struct, frozen=True):
    """What a workspace was brought: all in all ``files``, the last from checkpoint ``number``."""

    point: PointId
    number: int
    known_tree: str
    files: int
    at: float
    left_alone: tuple[str, ...] = ()


# --- points --------------------------------------------------------------------------------------


def _begun(p: Point, record: ev.Recorded, event: ev.PointCheckpointBegun) -> Point:
    made = replace(p.checkpoint, last=event.number, takes=event.takes, cause=record.seq)
    return replace(p, checkpoint=made, looks_again_at=None)


def _merge_started(p: Point, record: ev.Recorded, event: ev.CheckpointMergeStarted) -> Point:
    return replace(p, checkpoint=replace(p.checkpoint, is_merging=True, cause=record.seq))


def _merged(p: Point, record: ev.Recorded, event: ev.CheckpointMerged) -> Point:
    made = replace(
        p.checkpoint,
        takes={},
        is_merging=False,
        finished_at=record.at,
        number=event.number,
        commit=event.commit,
        tree=event.tree,
        ref=event.ref,
        at=record.at,
        works={w.stream: w for w in event.works},
        conflicts=event.conflicts,
        failure="",
    )
    return replace(p, checkpoint=made)


def _failed(p: Point, record: ev.Recorded, event: ev.PointCheckpointFailed) -> Point:
    made = replace(
        p.checkpoint, takes={}, is_merging=False, finished_at=record.at, failure=event.reason
    )
    return replace(p, checkpoint=made)


POINT_FOLDS: dict[type[ev.PointEvent], Any] = {
    ev.PointCheckpointBegun: _begun,
    ev.CheckpointMergeStarted: _merge_started,
    ev.CheckpointMerged: _merged,
    ev.PointCheckpointFailed: _failed,
}


# --- streams -------------------------------------------------------------------------------------


def _offered(s: Stream, record: ev.Recorded, event: ev.SyncOffered, spent: float) -> Stream:
    return replace(s, offer=Offer(event.point, event.number, record.seq, record.at))


def _delayed(s: Stream, record: ev.Recorded, event: ev.SyncDelayed, spent: float) -> Stream:
    return replace(s, offer=replace(s.offer, waits_for=event.reason) if s.offer else None)


def _synced(s: Stream, record: ev.Recorded, event: ev.StreamSynced, spent: float) -> Stream:
    files = event.files + event.removed + (s.synced.files if s.synced else 0)
    synced = Synced(event.point, event.number, event.known_tree, files, record.at, event.left_alone)
    at = s.workspace
    given = replace(at, start_tree=event.given_tree) if at else None
    return replace(s, offer=None, synced=synced, sync_declined="", workspace=given)


def _declined(s: Stream, record: ev.Recorded, event: ev.SyncDeclined, spent: float) -> Stream:
    return replace(s, offer=None, sync_declined=event.reason)


def _reverted(
    s: Stream, record: ev.Recorded, event: ev.SyncedLinesReverted, spent: float
) -> Stream:
    told = tuple(
        f"{path} is as it was before others' lines were brought in" for path in event.paths
    )
    return replace(s, warnings=tuple(dict.fromkeys((*s.warnings, *told))))


STREAM_FOLDS: dict[type[ev.StreamEvent], Any] = {
    ev.SyncOffered: _offered,
    ev.StreamSynced: _synced,
    ev.SyncDelayed: _delayed,
    ev.SyncDeclined: _declined,
    ev.SyncedLinesReverted: _reverted,
}
