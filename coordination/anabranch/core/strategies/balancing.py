"""What a load balancer is: it ranks the streams that are ready."""

from __future__ import annotations

from typing import Protocol

import msgspec

from anabranch.core.ids import Attempt, StreamId


class QueuedStream(msgspec.Struct, frozen=True):
    """What a load balancer sees of a stream that is ready to run.

    ``position`` is its place in the plan, from 0; ``priority`` what the plan gives it, usually 0,
    more is more urgent; ``estimate_seconds`` how long it is expected to take by itself; ``attempt``
    counts from 1, more than that after a failure. ``remaining_path_seconds`` is the longest
    estimated path from this stream to the end of the plan, itself included (the upward rank of
    HEFT, Topcuoglu 2002).
    """

    stream: StreamId
    position: int
    priority: int
    estimate_seconds: float
    remaining_path_seconds: float
    attempt: Attempt


class LoadBalancer(Protocol):
    """Orders the queue of streams that are ready; free slots pull from its head."""

    @property
    def name(self) -> str: ...

    def rank(self, view: QueuedStream) -> tuple[float, ...]:
        """Return the stream's place: the smallest rank runs first, ties go by plan order."""
        ...
