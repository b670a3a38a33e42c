"""What the state keeps of foreseen conflicts."""

from __future__ import annotations

import msgspec

from anabranch.core import events as ev
from anabranch.core.ids import Attempt, StreamId

Pair = tuple[StreamId, StreamId]


class Foreseen(msgspec.Struct, frozen=True, gc=False):
    """A conflict between two streams as they are now; ``is_told``: both were sent a message."""

    streams: Pair
    attempts: tuple[Attempt, Attempt]
    paths: tuple[ev.ConflictedPath, ...]
    since: float
    is_told: bool = False
