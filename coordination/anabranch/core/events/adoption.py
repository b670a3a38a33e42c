"""Events of points at which one of several is adopted, and the others are kept."""

from __future__ import annotations

from anabranch.core.events.base import PointEvent, StreamEvent
from anabranch.core.ids import PointId, StreamId


class AdoptionAsked(PointEvent, frozen=True, kw_only=True):
    """A person has to say which of these streams is adopted; the point waits for that."""

    streams: tuple[StreamId, ...]
    reason: str


class StreamAdopted(PointEvent, frozen=True, kw_only=True):
    """Of those that met at the point this stream counts: by a person's word, or by its type's."""

    stream: StreamId
    reason: str
    by: str = "operator"


class StreamPassedOver(StreamEvent, frozen=True, kw_only=True):
    """The stream has succeeded, and another was adopted at ``point``: its work is only kept."""

    point: PointId
    reason: str
