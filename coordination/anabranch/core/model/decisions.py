"""What was decided about a conflicted path, as the state keeps it."""

from __future__ import annotations

from typing import Literal

import msgspec

from anabranch.core.events.conflicts import Resolution
from anabranch.core.ids import PointId, Seq, StreamId


class Decision(msgspec.Struct, frozen=True, gc=False):
    """A decision that holds: about whose conflict, where, by whom, and when (in run seconds).

    ``seq`` is the event that says so.
    """

    resolution: Resolution
    point: PointId
    streams: tuple[StreamId, ...]
    by: Literal["operator", "resolver"]
    seq: Seq
    at: float
