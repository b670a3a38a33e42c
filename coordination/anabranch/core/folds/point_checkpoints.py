"""What events change about the checkpoints of points, and about who was brought their work."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.model.point_checkpoints import Offer, Synced
from anabranch.core.model.state import Point, Stream

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
    added = tuple(
        f"{path} is as it was before others' lines were brought in" for path in event.paths
    )
    return replace(s, warnings=tuple(dict.fromkeys((*s.warnings, *added))))


STREAM_FOLDS: dict[type[ev.StreamEvent], Any] = {
    ev.SyncOffered: _offered,
    ev.StreamSynced: _synced,
    ev.SyncDelayed: _delayed,
    ev.SyncDeclined: _declined,
    ev.SyncedLinesReverted: _reverted,
}
