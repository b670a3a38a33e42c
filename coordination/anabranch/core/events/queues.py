"""Events of the queues that slots own: who is assigned to one, and what is stolen from it."""

from __future__ import annotations

import msgspec

from anabranch.core.events.base import Event
from anabranch.core.ids import Attempt, Seq, StreamId


class QueuedAttempt(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A stream in a queue; an attempt that is tried again is another one, and queues anew."""

    stream: StreamId
    attempt: Attempt


class StreamsAssigned(Event, frozen=True, kw_only=True):
    """These wait in the queue of a slot now, whose changes ``version`` counts."""

    slot: int
    version: int
    queued: tuple[QueuedAttempt, ...]
    reason: str


class StreamsGivenBack(Event, frozen=True, kw_only=True):
    """A slot has given its queue back: these wait in the common one again."""

    slot: int
    version: int
    queued: tuple[QueuedAttempt, ...]
    reason: str


class StealAsked(Event, frozen=True, kw_only=True):
    """A free slot asks for streams that wait in the queue of another one.

    It is answered only as long as both are as they were: the ``thief`` in this ``incarnation``, and
    the queue of the ``victim`` in this ``version``. The number of this event is the steal's.
    """

    thief: int
    incarnation: int
    victim: int
    version: int
    queued: tuple[QueuedAttempt, ...]
    reason: str


class StreamsStolen(Event, frozen=True, kw_only=True):
    """The victim has let go of these, and they wait in the queue of the thief now."""

    steal: Seq
    thief: int
    victim: int
    queued: tuple[QueuedAttempt, ...]


class StealRefused(Event, frozen=True, kw_only=True):
    """Nothing was stolen: something has changed since it was asked for."""

    steal: Seq
    thief: int
    victim: int
    reason: str
