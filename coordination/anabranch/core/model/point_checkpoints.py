"""What the state keeps of a point's checkpoints, and of what streams were brought from them."""

from __future__ import annotations

import msgspec

from anabranch.core import events as ev
from anabranch.core.ids import PointId, Seq, StreamId


class PointCheckpoints(msgspec.Struct, frozen=True, gc=False):
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


class Offer(msgspec.Struct, frozen=True, gc=False):
    """A point's checkpoint that a stream has not been brought yet, and what that waits for."""

    point: PointId
    number: int
    cause: Seq
    since: float = 0.0
    waits_for: str = ""


class Synced(msgspec.Struct, frozen=True, gc=False):
    """What a workspace was brought: all in all ``files``, the last from checkpoint ``number``."""

    point: PointId
    number: int
    known_tree: str
    files: int
    at: float
    left_alone: tuple[str, ...] = ()
