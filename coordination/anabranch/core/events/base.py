"""What every event is: a frozen fact with a wire name that scripts rely on."""

from __future__ import annotations

import re

import msgspec

from anabranch.core.ids import Attempt, PointId, Seq, StreamId

OPERATOR: tuple[StreamId, Attempt] = (StreamId(""), 0)
"""Who makes the operator's calls."""


def wire_name(class_name: str) -> str:
    """Return the wire name of an event class: ``StreamStarted`` is ``stream_started``."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", class_name).lower()


class Event(msgspec.Struct, frozen=True, gc=False, tag_field="type", tag=wire_name):
    """A fact about a run."""


class StreamEvent(Event, frozen=True):
    """A fact about one stream."""

    stream: StreamId


class PointEvent(Event, frozen=True):
    """A fact about one convergence point."""

    point: PointId


class CallEvent(Event, frozen=True):
    """What came of a call: ``attempt`` of ``stream`` asked for it under the id ``request``.

    An operator's calls have an empty stream and attempt 0; an empty request: nobody asked.
    """

    stream: StreamId
    attempt: Attempt
    request: str

    @property
    def caller(self) -> tuple[StreamId, Attempt]:
        """Who remembers what the request was answered."""
        return self.stream, self.attempt


class WaitBegan(CallEvent, frozen=True):
    """A call has to wait: a new edge in the wait-for graph, which may have closed a cycle."""


class Edge(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """``waiter`` cannot go on before ``holder`` gives ``what`` up or brings it.

    ``since`` is when the wait began (run seconds), ``ticket`` the event that began it; ``kind``
    names what sort of wait it is: lock, resource, point or dependency.
    """

    waiter: StreamId
    holder: StreamId
    what: str
    since: float
    kind: str
    ticket: Seq = 0


class ConflictedPath(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One path that two sides changed differently; a missing side is None.

    ``kind`` is the merge's word for it: contents, add/add, modify/delete, binary and so on.
    """

    path: str
    kind: str
    base: str | None = None
    ours: str | None = None
    theirs: str | None = None
    ours_mode: str = ""
    theirs_mode: str = ""


class Conflict(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Two or more streams whose results do not merge; the last of ``streams`` came too late.

    ``tree`` is the merge as far as it went; ``halts`` is the stream that should have started from
    it, "" when it was the merge of a convergence point.
    """

    streams: tuple[StreamId, ...]
    paths: tuple[ConflictedPath, ...]
    tree: str = ""
    halts: StreamId = StreamId("")

    @property
    def others(self) -> tuple[StreamId, ...]:
        """The streams whose work was there before; nobody when the base has the other side."""
        return self.streams[:-1]

    @property
    def late(self) -> StreamId:
        """The stream whose work could not be merged onto that of the others."""
        return self.streams[-1]


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An event with its place: number, run clock in seconds, and the number that caused it."""

    seq: Seq
    at: float
    cause: Seq | None
    event: Event


def event_types(root: type[Event] = Event) -> tuple[type[Event], ...]:
    """Return every concrete event class, in the order of this file."""
    found: list[type[Event]] = []
    for child in root.__subclasses__():
        found.extend(event_types(child) if child.__subclasses__() else [child])
    return tuple(found)
