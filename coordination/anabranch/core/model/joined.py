"""Streams that joined a run by themselves: no process and no workspace of ours, only a heartbeat.

They are kept apart from the plan's streams: nothing of them is started, captured or merged, and
the run does not wait for them unless a stream of the plan needs a capability that they have.
"""

from __future__ import annotations

from typing import Any

import msgspec
from rpds import HashTrieMap

from anabranch.core.ids import Attempt, Seq, StreamId

BEATS_KEPT = 10
"""The times of so many heartbeats of a stream are kept."""


class JoinedStream(msgspec.Struct, frozen=True, gc=False):
    """Everything known about a stream that joined; ``attempt`` counts how often it has."""

    id: StreamId
    attempt: Attempt
    capabilities: tuple[str, ...]
    depends_on: tuple[StreamId, ...]
    since: float
    ticket: Seq
    request: str
    is_ready: bool
    has_left: bool = False
    has_succeeded: bool = False
    reason: str = "joined by itself"
    status: str = ""
    status_at: float | None = None
    progress: float | None = None
    info: dict[str, Any] = {}
    beats_at: tuple[float, ...] = ()
    ended_at: float | None = None

    @property
    def is_live(self) -> bool:
        """Whether it is part of the run now."""
        return not self.has_left


class Registry(msgspec.Struct, frozen=True, gc=False):
    """The joined streams, those that left included."""

    joined: HashTrieMap[StreamId, JoinedStream] = HashTrieMap()

    def live(self, stream: StreamId) -> JoinedStream | None:
        """Return a joined stream that has not left."""
        found = self.joined.get(stream)
        return found if found is not None and found.is_live else None


def unpack(raw: Any) -> Registry:
    """Return the registry that a snapshot holds. Raises msgspec.ValidationError."""
    return Registry(
        HashTrieMap(msgspec.convert(raw["joined"], list[tuple[StreamId, JoinedStream]]))
    )
