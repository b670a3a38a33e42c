"""Events of conflicts: foreseen while streams run, decided on, handed back."""

from __future__ import annotations

from typing import Literal

import msgspec

from anabranch.core.events.base import Conflict, ConflictedPath, Event, PointEvent, StreamEvent
from anabranch.core.ids import Attempt, PointId, StreamId

Choice = Literal["ours", "theirs", "both", "file", "command"]


class Resolution(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What one conflicted path shall be: a blob with a mode, or (None) nothing.

    It holds wherever the same three blobs meet at that path again; ``choice`` says how it was made.
    """

    path: str
    base: str | None
    ours: str | None
    theirs: str | None
    choice: Choice
    blob: str | None
    mode: str = ""

    @classmethod
    def of(
        cls, path: ConflictedPath, choice: Choice, blob: str | None, mode: str = ""
    ) -> Resolution:
        """Return what ``path`` shall be wherever its three blobs meet."""
        return cls(
            path=path.path,
            base=path.base,
            ours=path.ours,
            theirs=path.theirs,
            choice=choice,
            blob=blob,
            mode=mode,
        )


class ConflictResolved(Event, frozen=True, kw_only=True):
    """Somebody (``by`` the operator, or the plan's resolver) decided on a conflicted path."""

    point: PointId
    streams: tuple[StreamId, ...]
    resolution: Resolution
    by: Literal["operator", "resolver"] = "operator"


class ConflictReopened(Event, frozen=True, kw_only=True):
    """A person took the ``resolution`` of a conflicted path back: it waits for a decision again."""

    point: PointId
    streams: tuple[StreamId, ...]
    resolution: Resolution
    reason: str


class ConflictHandedBack(StreamEvent, frozen=True, kw_only=True):
    """A stream does its work again on top of what it could not be merged with (``builds_on``)."""

    attempt: Attempt
    point: PointId
    conflict: Conflict
    builds_on: tuple[StreamId, ...]
    reason: str


class ResolverStarted(PointEvent, frozen=True, kw_only=True):
    """The plan's resolver command is asked to settle these conflicts."""

    conflicts: tuple[Conflict, ...]


class ResolverEnded(PointEvent, frozen=True, kw_only=True):
    """The resolver has settled ``resolved`` paths; ``reason`` says how it went."""

    reason: str
    resolved: int


class ConflictForeseen(Event, frozen=True, kw_only=True):
    """Two streams, as they are now, would not merge; ``attempts`` are theirs, in that order."""

    streams: tuple[StreamId, StreamId]
    attempts: tuple[Attempt, Attempt]
    paths: tuple[ConflictedPath, ...]


class ConflictCleared(Event, frozen=True, kw_only=True):
    """A conflict that was foreseen has gone, or its streams have met."""

    streams: tuple[StreamId, StreamId]
    reason: str


class ConflictTold(Event, frozen=True, kw_only=True):
    """Both sides of a foreseen conflict were sent a message about it."""

    streams: tuple[StreamId, StreamId]
