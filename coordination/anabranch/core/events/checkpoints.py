"""Events of checkpoints that a convergence point takes, and of what streams get back from them."""

from __future__ import annotations

import msgspec

from anabranch.core.events.base import Conflict, PointEvent, StreamEvent
from anabranch.core.ids import Attempt, PointId, StreamId


class Contribution(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One stream's part in a point's checkpoint: ``commit`` and ``tree`` are its snapshot.

    ``known_tree`` is what the point knows of the workspace from now on: what the stream changes
    next is seen against that. ``is_merged`` is False if the snapshot did not merge; of ``withheld``
    paths nothing was taken, and nothing is offered.
    """

    stream: StreamId
    attempt: Attempt
    commit: str
    tree: str
    known_tree: str
    is_merged: bool = True
    withheld: tuple[str, ...] = ()


class PointCheckpointBegun(PointEvent, frozen=True, kw_only=True):
    """Running streams are snapshot for a checkpoint; ``takes`` are their checkpoints' numbers."""

    number: int
    takes: dict[StreamId, int]
    reason: str


class CheckpointMergeStarted(PointEvent, frozen=True, kw_only=True):
    """All snapshots that there will be are there; they are merged now."""

    number: int


class CheckpointMerged(PointEvent, frozen=True, kw_only=True):
    """The snapshots stand together in ``commit``; ``conflicts`` are of those that do not merge."""

    number: int
    commit: str
    tree: str
    ref: str
    works: tuple[Contribution, ...]
    conflicts: tuple[Conflict, ...] = ()


class PointCheckpointFailed(PointEvent, frozen=True, kw_only=True):
    number: int
    reason: str


class SyncOffered(StreamEvent, frozen=True, kw_only=True):
    """The files of a checkpoint are to be brought to a running stream at a quiet moment."""

    attempt: Attempt
    point: PointId
    number: int


class StreamSynced(StreamEvent, frozen=True, kw_only=True):
    """Files of a checkpoint were brought into a workspace; ``left_alone`` are those that were not.

    ``given_tree`` is what the engine has put into the workspace so far, ``known_tree`` what the
    point knows of it. The stream ``was_held`` still for moments if it was not at rest by itself.
    """

    attempt: Attempt
    point: PointId
    number: int
    files: int
    removed: int
    left_alone: tuple[str, ...]
    given_tree: str
    known_tree: str
    was_held: bool = False


class SyncDelayed(StreamEvent, frozen=True, kw_only=True):
    """Files of a checkpoint wait to be brought; the moment for it is looked for, or made."""

    attempt: Attempt
    point: PointId
    number: int
    reason: str


class SyncDeclined(StreamEvent, frozen=True, kw_only=True):
    """Files of a checkpoint were not brought; the next one is offered again."""

    attempt: Attempt
    point: PointId
    number: int
    reason: str


class SyncedLinesReverted(StreamEvent, frozen=True, kw_only=True):
    """A stream wrote files as they were before others' lines were brought into them.

    Nothing of these files is merged before a person has decided.
    """

    attempt: Attempt
    point: PointId
    paths: tuple[str, ...]
