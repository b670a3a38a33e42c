"""Events of the shared state and of messages."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from anabranch.core.events.base import CallEvent, Event
from anabranch.core.ids import Seq, StreamId


class StateChanged(CallEvent, frozen=True, kw_only=True):
    """One key of the shared state has another value since ``version``; null is "not there".

    Values stand here as canonical JSON text: who reads them reads few, and who writes them many.
    A version is what one call made; it may change several keys. ``hash`` chains each change to the
    one before it.
    """

    version: int
    key: str
    before: Raw
    after: Raw
    hash: str


class StateRestored(CallEvent, frozen=True, kw_only=True):
    """Keys are again as they were in ``version``, in one more version; before it ``was`` the head.

    Only what the stream ``of`` had changed since, and nobody after it; if ``of`` is empty,
    everything. ``left`` was changed by others since, or stays because nothing says what was good.
    """

    of: StreamId
    version: int
    was: int
    keys: tuple[str, ...]
    left: tuple[str, ...]
    reason: str


class StateSynced(Event, frozen=True, kw_only=True):
    """Everybody has this version now; ``streams`` brought their own to it.

    ``clashes`` are the keys that two of them changed differently.
    """

    version: int
    reason: str
    streams: tuple[StreamId, ...] = ()
    clashes: tuple[str, ...] = ()


class MessageSent(CallEvent, frozen=True, kw_only=True):
    """A message, known by this event's number; without ``to`` it is for every other live stream.

    An empty ``to`` is the operator. ``deadline`` is on the run clock. One that was a timed event
    has a stamp, of microseconds since 1970 and a number; it ``is_late`` if its window was over
    before.
    """

    to: StreamId | None
    body: Any
    recipients: int
    deadline: float | None = None
    stamp_us: int | None = None
    logical: int = 0
    is_late: bool = False


class MessageHeld(CallEvent, frozen=True, kw_only=True):
    """A timed event waits for its window, of so many microseconds, to be released."""

    window_us: int
    physical_us: int
    logical: int
    body: Any
    deadline_seconds: float | None = None
    is_late: bool = False


class WindowClosed(Event, frozen=True, kw_only=True):
    """All live sources are past ``end_us``: what was told before is sent on, in order of stamps.

    ``late`` of them belong to windows that were closed before.
    """

    window_us: int
    end_us: int
    released: int
    late: int


class MessageDelivered(CallEvent, frozen=True, kw_only=True):
    """The stream has read these messages for the first time."""

    messages: tuple[Seq, ...]


class MessageAcknowledged(CallEvent, frozen=True, kw_only=True):
    message: Seq


class MessageDied(Event, frozen=True, kw_only=True):
    """Messages became dead letters for ``to``; without it, for all who had not acknowledged."""

    messages: tuple[Seq, ...]
    to: StreamId | None
    reason: str


class MessageRequeued(CallEvent, frozen=True, kw_only=True):
    """The operator sent a dead letter on its way again."""

    message: Seq
    to: tuple[StreamId, ...]
